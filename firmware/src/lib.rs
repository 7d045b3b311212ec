//! What every image here shares: clock, exit status, stack high-water mark, panic handler.
#![no_std]

use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;
pub use cortex_m_semihosting::{hprint, hprintln};

/// Core clock after reset, as QEMU models it.
pub const CORE_HZ: u32 = 12_500_000;

static MILLIS: AtomicU32 = AtomicU32::new(0);

/// Starts the 1 ms tick.
pub fn start_clock(syst: &mut SYST) {
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(CORE_HZ / 1000 - 1);
    syst.clear_current();
    syst.enable_counter();
    syst.enable_interrupt();
}

#[exception]
fn SysTick() {
    // Cortex-M3 and up have atomic read-modify-write.
    MILLIS.fetch_add(1, Ordering::Relaxed);
}

/// Milliseconds since `start_clock`.
pub fn millis() -> u32 {
    MILLIS.load(Ordering::Relaxed)
}

/// Instructions that `f` executes. Exact, and the same on every run, under
/// `fw.sh count` only: there QEMU's clock advances 1.6 SysTick periods for each
/// instruction. At most 10 million; interrupts stay off meanwhile.
pub fn instructions(syst: &mut SYST, f: impl FnOnce()) -> u32 {
    fn ticks(syst: &mut SYST, f: impl FnOnce()) -> u32 {
        syst.clear_current();
        let before = SYST::get_current();
        f();
        before.wrapping_sub(SYST::get_current()) & 0x00ff_ffff
    }
    syst.disable_interrupt();
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(0x00ff_ffff);
    syst.enable_counter();
    let empty = ticks(syst, || ());
    (ticks(syst, f) - empty) * 5 / 8
}

/// Ends the emulator with this process exit status.
pub fn exit(status: u8) -> ! {
    const SYS_EXIT_EXTENDED: usize = 0x20;
    const ADP_STOPPED_APPLICATION_EXIT: usize = 0x20026;
    let block = [ADP_STOPPED_APPLICATION_EXIT, status as usize];
    loop {
        // SAFETY: the block outlives the call; the debugger only reads it.
        unsafe { cortex_m_semihosting::syscall(SYS_EXIT_EXTENDED, &block) };
    }
}

/// The deepest the stack has been since reset, in bytes, read off the paint
/// that `paint-stack` put there. Interrupt frames are included.
pub fn stack_peak() -> usize {
    unsafe extern "C" {
        static mut _stack_start: u32;
        static mut _stack_end: u32;
    }
    // SAFETY: both symbols come from link.x and bound the stack; the words
    // between them are plain RAM.
    unsafe {
        let top = &raw const _stack_start;
        let mut p = &raw const _stack_end;
        while p < top && p.read_volatile() == cortex_m_rt::STACK_PAINT_VALUE {
            p = p.add(1);
        }
        (top as usize) - (p as usize)
    }
}

#[cfg(not(feature = "no-panic"))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    cortex_m::interrupt::disable();
    hprintln!("{}", info);
    exit(101)
}

/// With the feature `no-panic` an image links only if no panic is reachable
/// from it: the symbol is defined nowhere.
#[cfg(feature = "no-panic")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    unsafe extern "C" {
        fn a_panic_is_reachable() -> !;
    }
    // SAFETY: never runs; it does not even link.
    unsafe { a_panic_is_reachable() }
}

/// With the feature `planted-panic` a bounds check that nothing can remove, to see that `no-panic`
/// notices; else nothing.
pub fn plant() {
    #[cfg(feature = "planted-panic")]
    {
        use core::hint::black_box;
        black_box([0u8; 2][black_box(0)]);
    }
}

/// HardFault would otherwise spin for ever: end with 102 instead.
#[exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    exit(102)
}
