//! The scenarios, one for each procedure and its interesting failures.

mod messages;
mod registration;
mod reports;
mod settings;
mod trouble;

use super::stage::{Scenario, UnderLoss};

const fn scenario(
    name: &'static str,
    shows: &'static str,
    play: fn(&mut oma_im::testkit::world::World) -> Result<(), String>,
) -> Scenario {
    Scenario {
        name,
        shows,
        under_loss: UnderLoss::Promised,
        play,
    }
}

impl Scenario {
    const fn but_not_under_loss(self, because: &'static str) -> Self {
        Self {
            under_loss: UnderLoss::NotPromised(because),
            ..self
        }
    }
}

/// All of them, in the order of a session.
pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario(
        "register",
        "REGISTER is challenged and granted (RFC 3261 §10, §22)",
        registration::register,
    ),
    scenario(
        "register-wrong-password",
        "a wrong password ends in the status of the server, after two attempts",
        registration::wrong_password,
    ),
    scenario(
        "register-sha256",
        "of two challenges the topmost is taken, SHA-256 (RFC 8760 §2.4)",
        registration::sha256,
    ),
    scenario(
        "register-ask",
        "the application is asked for the secret and gives it",
        registration::ask,
    ),
    scenario(
        "register-423",
        "423: the interval of Min-Expires is asked for (RFC 3261 §10.3 step 7)",
        registration::interval_too_brief,
    ),
    scenario(
        "register-503",
        "503 with Retry-After: the attempt is repeated after that time",
        registration::unavailable,
    ),
    scenario(
        "second-candidate-503",
        "503 from the first server: the next one of the list serves (RFC 3263 §4.3)",
        registration::second_candidate,
    ),
    scenario(
        "refresh",
        "the registration is refreshed before it expires, with the same Call-ID",
        registration::refresh,
    ),
    scenario(
        "deregister",
        "de-registration; a message that still waits ends first",
        registration::deregister,
    )
    .but_not_under_loss("de-registration takes two seconds at most, whatever gets lost"),
    scenario(
        "deregister-unanswered",
        "the server is gone: de-registration ends within two seconds all the same",
        registration::deregister_unanswered,
    ),
    scenario(
        "adopted-registration",
        "the modem owns the registration: no REGISTER, messages all the same",
        registration::adopted,
    ),
    scenario(
        "settings",
        "settings are set, changed and removed (OMA IM 5.2.4, RFC 3903)",
        settings::set_change_remove,
    ),
    scenario(
        "settings-refresh",
        "settings are refreshed without their document, together with the registration",
        settings::refresh,
    ),
    scenario(
        "settings-412",
        "the server has forgotten the settings: they are published anew (RFC 3903 §5)",
        settings::restart,
    ),
    scenario(
        "settings-489",
        "the server has no settings: refused for good",
        settings::unknown_event,
    ),
    scenario(
        "settings-423-503",
        "a busy server that wants a longer time: both are respected",
        settings::put_off,
    ),
    scenario(
        "settings-removed-then-deregister",
        "settings are removed before the user is de-registered",
        settings::removed_with_the_registration,
    )
    .but_not_under_loss("de-registration takes two seconds at most, whatever gets lost"),
    scenario(
        "nat-rewrite",
        "behind NAT the Contact takes the address that received and rport show",
        trouble::nat_rewrite,
    ),
    scenario(
        "network-change",
        "a new address in the middle of a message: registered anew, nothing lost",
        trouble::network_change,
    ),
    scenario(
        "keepalive",
        "pings and pongs on a stream as long as Flow-Timer says (RFC 5626 §4.4.1)",
        trouble::keep_alive,
    ),
    scenario(
        "keepalive-pong-lost",
        "a dead stream: no pong, a new flow, registered again",
        trouble::pong_lost,
    ),
    scenario(
        "keepalive-stun",
        "NAT forgets: STUN shows another address, the flow is replaced (RFC 5626 §4.4.2)",
        trouble::stun_rebinding,
    ),
    scenario(
        "pager",
        "one message, plain text, answered 200 (OMA IM 8.1.1, 8.2)",
        messages::pager,
    ),
    scenario("pager-tls", "the same over TLS", messages::pager_tls),
    scenario(
        "pager-report-both-ways",
        "a message and its delivery report in each direction (RFC 5438)",
        reports::both_ways,
    ),
    scenario(
        "pager-display-report",
        "a delivery report and, once it is read, a display report",
        reports::display,
    ),
    scenario(
        "report-refused",
        "the peer refuses reports (415): no more of them for an hour",
        reports::refused,
    ),
    scenario(
        "anonymous",
        "Privacy: id; nothing that leaves the trust domain names the sender (8.1.1 step 4)",
        messages::anonymous,
    ),
    scenario(
        "anonymous-refused",
        "433: anonymity is refused, and the message does not go again in clear",
        messages::anonymous_refused,
    ),
    scenario(
        "too-large",
        "1300 bytes and more are not for pager mode; nothing goes out (8.1)",
        messages::too_large,
    ),
    scenario(
        "long-moves-to-stream",
        "too long for a datagram of this path: goes over TCP (RFC 3261 §18.1.1)",
        messages::long_moves_to_stream,
    ),
    scenario(
        "queue-per-target",
        "one message pending for each target, the rest in order, one withdrawn (RFC 3428 §8)",
        messages::queue,
    ),
    scenario(
        "group",
        "a message to a pre-defined group: 202, a report of each member",
        reports::group,
    ),
    scenario(
        "offline-202-then-report",
        "the recipient is away: 202, delivered after his REGISTER, then reported",
        reports::offline,
    ),
    scenario(
        "offline-480",
        "the recipient is away and nobody stores: 480",
        messages::offline_480,
    ),
    scenario(
        "unknown-type-415",
        "the recipient cannot show this type: 415",
        messages::unknown_type,
    ),
    scenario(
        "refused-busy",
        "the application of the recipient refuses: 486",
        messages::refused_busy,
    ),
    scenario(
        "stale-nonce",
        "the nonce is stale: the message goes again with the new one, nc back at 1",
        trouble::stale_nonce,
    ),
    scenario(
        "lost-answer",
        "the 200 gets lost: the message is repeated and handed out once",
        trouble::lost_answer,
    ),
    scenario(
        "duplicate",
        "the network doubles a message: answered twice, handed out once",
        trouble::duplicate,
    ),
    scenario(
        "tcp-split",
        "TCP in reads of seven bytes",
        trouble::tcp_split,
    ),
    scenario(
        "flow-breaks",
        "the connection is reset under a message: a new one, same Call-ID, handed out once",
        trouble::flow_breaks,
    ),
    scenario(
        "timeout",
        "nobody answers: after 32 s the message ends (RFC 3261 Timer F)",
        trouble::timeout,
    ),
];
