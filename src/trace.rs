//! One macro for whoever logs: `log` on a computer, `defmt` on a handset, both, or nothing.
//!
//! Notes are made where the state changes: a request is queued, launched, over; a flow is opened or
//! gone; a registration changes; something is dropped and counted. They hold ids, statuses and
//! numbers. Addresses of users, contents and secrets never get into a log.

/// Notes a state change: a level (`info` or `debug`), a format string, and what goes into it.
///
/// The format string has only `{}` for text and numbers and `{:?}` for the rest; both loggers
/// read these.
macro_rules! note {
    ($level:ident, $format:literal $(, $value:expr)* $(,)?) => {{
        #[cfg(feature = "log")]
        log::$level!($format $(, $value)*);
        #[cfg(feature = "defmt")]
        defmt::$level!($format $(, $value)*);
        #[cfg(not(any(feature = "log", feature = "defmt")))]
        { $(let _ = &$value;)* }
    }};
}

/// Counts something under its name in `Client::stats`, and notes it.
macro_rules! count {
    ($engine:expr, $name:ident) => {{
        let stats = &mut $engine.core.stats;
        stats.$name = stats.$name.saturating_add(1);
        note!(debug, "counted: {}", stringify!($name));
    }};
}
