//! Links the wire layer for a Cortex-M3, where there is no allocator to be had: parses one message
//! and prints what it took. With the feature `no-panic` it links only if no byte of a message can
//! lead the parser to a panic.
#![no_std]
#![no_main]

use core::hint::black_box;

use oma_im::wire::message::Message;

const MESSAGE: &[u8] = b"MESSAGE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK776asdhds\r\n\
    Max-Forwards: 70\r\n\
    From: <sip:alice@example.com>;tag=1928301774\r\n\
    To: <sip:bob@example.com>\r\n\
    Call-ID: a84b4c76e66710\r\n\
    CSeq: 1 MESSAGE\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 5\r\n\r\nhello";

#[cortex_m_rt::entry]
fn main() -> ! {
    // Instead of `unwrap`, which could panic.
    let Some(mut core) = cortex_m::Peripherals::take() else {
        fw::exit(5)
    };
    let mut good = false;
    let count = fw::instructions(&mut core.SYST, || {
        good = Message::parse(black_box(MESSAGE)).is_ok_and(|message| message.body() == b"hello");
    });
    fw::plant();
    // Formatting could panic, as far as the linker knows.
    #[cfg(not(feature = "no-panic"))]
    fw::hprintln!(
        "step: a MESSAGE of {} bytes parsed: {} instructions\nlink: stack {} bytes",
        MESSAGE.len(),
        count,
        fw::stack_peak()
    );
    black_box(count);
    fw::exit(if good { 0 } else { 1 })
}
