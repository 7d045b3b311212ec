//! Counters: what was dropped or forgotten, each under a name.

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Everything that the client dropped, forgot or did beyond being asked, counted.
        ///
        /// A drop that a clause demands is not counted: the code that does it cites the clause.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub struct Stats { $($(#[$doc])* pub $name: u32,)* }

        impl Stats {
            pub(crate) const ZERO: Self = Self { $($name: 0,)* };

            /// Name and value of each counter.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u32)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

stats! {
    /// Calls of `timeout` that found something due: wake-ups that were needed.
    wake_ups,
    /// Bytes on a flow that the client does not know.
    unknown_flow,
    /// Messages that could not be parsed and could not be answered either.
    unparsable,
    /// Messages that could not be parsed and were answered.
    answered_unparsable,
    /// Requests from flows of no path, dropped by policy.
    stranger,
    /// Responses that match no transaction.
    stray_response,
    /// ACKs that match no INVITE.
    stray_ack,
    /// Requests refused for want of room: 480, 500 or 503 was sent.
    no_room,
    /// Stateless answers that found no slot.
    answers_dropped,
    /// Answers whose retransmissions are not absorbed any more, for want of room.
    echoes_evicted,
    /// Completed client transactions that gave way early.
    completed_evicted,
    /// Messages that came twice and were not handed out again.
    duplicates,
    /// Messages that are not known again by their Message-ID, for want of room.
    seen_evicted,
    /// Messages whose reports cannot be sent any more, for want of room.
    tickets_evicted,
    /// Messages of ours whose reports are not waited for any more, for want of room.
    awaited_evicted,
    /// Service-Route, P-Associated-URI or GRUUs of a registration, for want of room: requests go
    /// without.
    facts_dropped,
    /// GRUUs of a registrar that are none, or too long, or show an IMEI: requests go without.
    gruus_ignored,
    /// STUN messages that answer nothing of ours.
    stray_stun,
    /// Flows refused for want of room.
    flows_refused,
    /// Challenges that were not answered: wrong realm, or nothing supported.
    challenges_ignored,
    /// Report documents inside an incoming report that could not be read, or too many of them.
    reports_unread,
    /// Documents of NOTIFY requests that could not be read.
    notifies_unread,
    /// Always 0; counts a broken promise of the client's own.
    events_lost,
}
