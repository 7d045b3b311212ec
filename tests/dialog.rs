//! RFC 3261 §12 on the side that asked: how a dialog is made, and what is written from it.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

use oma_im::sip::dialog::{Dialog, DialogError, Order, Reach, Relation, Seed};
use oma_im::wire::message::Message;
use oma_im::wire::name::{Method, Name};
use oma_im::wire::writer::{MessageWriter, UriText};

const SEED: Seed = Seed {
    call_id: 0x1234,
    tag: 0xabcd,
};
const CALL_ID: &[u8] = b"0000000000001234";
const TAG: &[u8] = b"000000000000abcd";

fn uri(text: &str) -> UriText<'_> {
    UriText::new(text).unwrap()
}

fn begun() -> Dialog {
    Dialog::request(SEED, uri("sip:alice@a.example"), uri("sip:conf@b.example")).unwrap()
}

/// A message of the peer with these lines in its head, as a NOTIFY or as a 200.
fn message(start: &str, from: &str, to: &str, lines: &str) -> Vec<u8> {
    let lines: String = lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| format!("{line}\r\n"))
        .collect();
    let method = if start.starts_with("NOTIFY") {
        "NOTIFY"
    } else {
        "SUBSCRIBE"
    };
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:x@y.example>{from}\r\n\
         To: <sip:x@y.example>{to}\r\nCall-ID: 0000000000001234\r\nCSeq: 5 {method}\r\n{lines}\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

fn notify(lines: &str) -> Vec<u8> {
    message(
        "NOTIFY sip:a@b SIP/2.0",
        ";tag=peer",
        ";tag=000000000000abcd",
        lines,
    )
}

fn ok(lines: &str) -> Vec<u8> {
    message(
        "SIP/2.0 200 OK",
        ";tag=000000000000abcd",
        ";tag=peer",
        lines,
    )
}

fn by_request<const N: usize>(dialog: &mut Dialog<N>, bytes: &[u8]) -> Result<Reach, DialogError> {
    dialog.established_by_request(&Message::parse(bytes).unwrap())
}

fn by_response<const N: usize>(dialog: &mut Dialog<N>, bytes: &[u8]) -> Result<Reach, DialogError> {
    dialog.established_by_response(&Message::parse(bytes).unwrap())
}

/// A SUBSCRIBE within the dialog, without the fields that any request has.
fn written<const N: usize>(dialog: &Dialog<N>) -> String {
    let mut out = [0; 2048];
    let uri = dialog.request_uri().unwrap();
    let mut w = MessageWriter::request(&mut out, Method::Subscribe, uri);
    if let Some(route) = dialog.route() {
        w.header(Name::Route, route);
    }
    dialog.identify(&mut w);
    let len = w.no_body().finish().unwrap();
    // What is written can be read.
    Message::parse(&out[..len]).unwrap();
    let text = String::from_utf8(out[..len].to_vec()).unwrap();
    text.strip_suffix("Content-Length: 0\r\n\r\n")
        .unwrap()
        .to_owned()
}

const IDENT: &str = "From: <sip:alice@a.example>;tag=000000000000abcd\r\n\
                     To: <sip:conf@b.example>;tag=peer\r\n\
                     Call-ID: 0000000000001234\r\n";

#[test]
fn before_there_is_one_the_request_goes_to_the_remote_uri() {
    let dialog = begun();
    assert_eq!(
        written(&dialog),
        "SUBSCRIBE sip:conf@b.example SIP/2.0\r\n\
         From: <sip:alice@a.example>;tag=000000000000abcd\r\n\
         To: <sip:conf@b.example>\r\n\
         Call-ID: 0000000000001234\r\n"
    );
    assert_eq!((dialog.reach(), dialog.next_cseq()), (None, 1));
}

/// §12.1.1 takes the route set in order, §12.1.2 in reverse; lists and lines read the same.
#[test]
fn the_route_set_is_that_of_the_message_that_makes_the_dialog() {
    let lines = "Record-Route: <sip:p1.example;lr;x=1>;y=2, \"P\" <sip:p2.example:5070;lr>
        Contact: <sip:focus@192.0.2.7;transport=tcp>;isfocus
        Record-Route: <sip:p3.example;lr>";
    let line = "SUBSCRIBE sip:focus@192.0.2.7;transport=tcp SIP/2.0\r\n";
    let mut dialog = begun();
    assert_eq!(
        by_request(&mut dialog, &notify(lines)),
        Ok(Reach::Reachable)
    );
    let route = "Route: <sip:p1.example;lr;x=1>,<sip:p2.example:5070;lr>,<sip:p3.example;lr>\r\n";
    assert_eq!(written(&dialog), format!("{line}{route}{IDENT}"));
    let mut dialog = begun();
    assert_eq!(by_response(&mut dialog, &ok(lines)), Ok(Reach::Reachable));
    let route = "Route: <sip:p3.example;lr>,<sip:p2.example:5070;lr>,<sip:p1.example;lr;x=1>\r\n";
    assert_eq!(written(&dialog), format!("{line}{route}{IDENT}"));
    // Without Record-Route it is empty.
    let mut dialog = begun();
    let _ = by_request(&mut dialog, &notify("Contact: sips:focus@192.0.2.7"));
    assert_eq!(
        written(&dialog),
        format!("SUBSCRIBE sips:focus@192.0.2.7 SIP/2.0\r\n{IDENT}")
    );
}

/// The example of RFC 3261 §12.2.1.1.
#[test]
fn a_strict_router_comes_into_the_request_line() {
    let mut dialog = begun();
    let lines = "Record-Route: <sip:proxy1>,<sip:proxy2>,<sip:proxy3;lr>,<sip:proxy4>
        Contact: <sip:user@remoteua>";
    let _ = by_request(&mut dialog, &notify(lines));
    let route = "Route: <sip:proxy2>,<sip:proxy3;lr>,<sip:proxy4>,<sip:user@remoteua>\r\n";
    let expected = format!("SUBSCRIBE sip:proxy1 SIP/2.0\r\n{route}{IDENT}");
    assert_eq!(written(&dialog), expected);
    // Behind a loose one it stays where it is, as it is.
    let mut dialog = begun();
    let lines = "Record-Route: <sip:p1;lr>,<sip:p2;method=INVITE?a=b>
        Contact: <sip:user@remoteua>";
    let _ = by_request(&mut dialog, &notify(lines));
    let route = "Route: <sip:p1;lr>,<sip:p2;method=INVITE?a=b>\r\n";
    let expected = format!("SUBSCRIBE sip:user@remoteua SIP/2.0\r\n{route}{IDENT}");
    assert_eq!(written(&dialog), expected);
    // Alone, and with what Table 1 of §19.1.1 does not let into a Request-URI.
    let mut dialog = begun();
    let lines = "Record-Route: <sip:u;v?@p.example:1;Method=INVITE;maddr=[::1];x?Subject=a&b=c>
        Contact: <sip:user@remoteua>";
    let _ = by_request(&mut dialog, &notify(lines));
    let expected = format!(
        "SUBSCRIBE sip:u;v?@p.example:1;maddr=[::1];x SIP/2.0\r\nRoute: <sip:user@remoteua>\r\n{IDENT}"
    );
    assert_eq!(written(&dialog), expected);
    dialog.retarget(uri("sip:user@elsewhere"));
    assert!(written(&dialog).contains("Route: <sip:user@elsewhere>\r\n"));
}

/// §12.2.1.2: a target refresh changes the target and nothing else.
#[test]
fn a_new_target_leaves_the_route_set() {
    let mut dialog = begun();
    dialog.retarget(uri("sip:too@early"));
    let _ = by_request(
        &mut dialog,
        &notify("Record-Route: <sip:p.example;lr>\nContact: <sip:old@192.0.2.7>"),
    );
    for target in [
        "sip:new@192.0.2.8",
        "sip:a@b",
        "sip:old@192.0.2.7;transport=tcp",
    ] {
        dialog.retarget(uri(target));
        let expected =
            format!("SUBSCRIBE {target} SIP/2.0\r\nRoute: <sip:p.example;lr>\r\n{IDENT}");
        assert_eq!(written(&dialog), expected);
    }
    let long = format!("sip:{}@b", "x".repeat(400));
    dialog.retarget(uri(&long));
    assert_eq!(dialog.reach(), Some(Reach::Unreachable));
    assert!(dialog.request_uri().is_none());
    dialog.retarget(uri("sip:a@b"));
    assert_eq!(dialog.reach(), Some(Reach::Unreachable), "for good");
    assert_eq!(dialog.relation(CALL_ID, TAG, b"peer"), Relation::Within);
}

/// §12.2.2: Call-ID, our tag in To and the peer's in From; with case.
#[test]
fn requests_are_matched_by_three_names() {
    let mut dialog = begun();
    let upper = b"000000000000ABCD";
    let all = |dialog: &Dialog| {
        [
            dialog.relation(CALL_ID, TAG, b"peer"),
            dialog.relation(CALL_ID, TAG, b"Peer"),
            dialog.relation(CALL_ID, TAG, b""),
            dialog.relation(CALL_ID, upper, b"peer"),
            dialog.relation(CALL_ID, b"", b"peer"),
            dialog.relation(b"0000000000001235", TAG, b"peer"),
            dialog.relation(b"1234", TAG, b"peer"),
        ]
    };
    use Relation::{Creates, Elsewhere, Fork, Within};
    let rest = [Elsewhere; 4];
    assert_eq!(all(&dialog)[..3], [Creates; 3]);
    assert_eq!(all(&dialog)[3..], rest);
    let contact = "Contact: <sip:user@remoteua>";
    let _ = by_request(&mut dialog, &notify(contact));
    assert_eq!(all(&dialog)[..3], [Within, Fork, Fork]);
    assert_eq!(all(&dialog)[3..], rest);
    let fork = dialog.forked();
    assert_eq!(all(&fork)[..3], [Creates; 3]);
    assert_eq!(written(&fork), written(&begun()));
    // RFC 3261 §12.1.2: a peer of RFC 2543 has no tag, and none is written.
    let mut old = begun();
    let untagged = message(
        "NOTIFY sip:a@b SIP/2.0",
        "",
        ";tag=000000000000abcd",
        contact,
    );
    let _ = by_request(&mut old, &untagged);
    assert_eq!(all(&old)[..3], [Fork, Fork, Within]);
    assert!(written(&old).contains("To: <sip:conf@b.example>\r\n"));
}

/// §12.2.2: lower is late, gaps are not; the order begins with the first request.
#[test]
fn requests_of_the_peer_come_in_order() {
    let contact = "Contact: <sip:user@remoteua>";
    let mut dialog = begun();
    let _ = by_request(&mut dialog, &notify(contact));
    let numbers = [5, 4, 0, 6, 6, 4_000_000_000, 7, u32::MAX, u32::MAX, 0];
    let late = numbers.map(|number| dialog.receive(number) == Order::Late);
    assert_eq!(
        late,
        [
            true, true, true, false, true, false, true, false, true, true
        ]
    );
    let mut dialog = begun();
    let _ = by_response(&mut dialog, &ok(contact));
    assert_eq!(dialog.receive(0), Order::InOrder, "the sequence was empty");
    assert_eq!(dialog.receive(0), Order::Late);
}

#[test]
fn our_cseq_counts_what_went_out() {
    let mut dialog = begun();
    assert_eq!(dialog.next_cseq(), 1);
    assert_eq!(dialog.next_cseq(), 1, "nothing went out");
    dialog.used_cseq(1);
    dialog.used_cseq(2);
    dialog.used_cseq(1);
    assert_eq!(dialog.next_cseq(), 3);
}

#[test]
fn what_makes_no_dialog_changes_nothing() {
    let contact = "Contact: <sip:user@remoteua>";
    let quoted = message(
        "NOTIFY sip:a@b SIP/2.0",
        ";tag=\"pe er\"",
        ";tag=000000000000abcd",
        contact,
    );
    let tag = "t".repeat(260);
    let long = message(
        "NOTIFY sip:a@b SIP/2.0",
        &format!(";tag={tag}"),
        ";tag=000000000000abcd",
        contact,
    );
    let too_long = DialogError::TooLong {
        needed: 19 + 18 + 260,
        available: 288,
    };
    for (bytes, error, status) in [
        (notify(""), DialogError::Contact, 400),
        (notify("Contact: <tel:+123>"), DialogError::Contact, 400),
        (notify("Contact: *"), DialogError::Contact, 400),
        (notify("Contact: <sip:>"), DialogError::Contact, 400),
        (
            notify("Contact: <sip:a@b>\nRecord-Route: nonsense"),
            DialogError::Malformed,
            400,
        ),
        (quoted, DialogError::Malformed, 400),
        (long, too_long, 500),
    ] {
        let mut dialog = begun();
        assert_eq!(by_request(&mut dialog, &bytes), Err(error));
        assert_eq!(error.status().code(), status);
        assert_eq!(written(&dialog), written(&begun()));
        assert_eq!(dialog.relation(CALL_ID, TAG, b"peer"), Relation::Creates);
        // Nor does it harm one that is there.
        let _ = by_request(&mut dialog, &notify(contact));
        let before = written(&dialog);
        assert_eq!(by_request(&mut dialog, &bytes), Err(error));
        assert_eq!(written(&dialog), before);
    }
}

/// Each size of dialog for the same texts: refused, deaf on one side, or whole.
#[test]
fn texts_that_do_not_fit() {
    fn size<const N: usize>() -> Result<Reach, DialogError> {
        let (local, remote) = (uri("sip:alice@a.example"), uri("sip:conf@b.example"));
        let mut dialog = Dialog::<N>::request(SEED, local, remote)?;
        let lines = "Record-Route: <sip:p.example;lr>\nContact: <sip:focus@192.0.2.7>";
        let reach = by_request(&mut dialog, &notify(lines))?;
        assert_eq!(dialog.relation(CALL_ID, TAG, b"peer"), Relation::Within);
        assert_eq!(dialog.request_uri().is_some(), reach == Reach::Reachable);
        assert_eq!(dialog.route().is_some(), reach == Reach::Reachable);
        Ok(reach)
    }
    let too_long = |needed, available| Err(DialogError::TooLong { needed, available });
    // 19 and 18 octets of URIs, 4 of tag, 18 of route, 19 of target.
    assert_eq!(size::<0>(), too_long(19, 0));
    assert_eq!(size::<36>(), too_long(37, 36));
    assert_eq!(size::<40>(), too_long(41, 40));
    assert_eq!(size::<41>(), Ok(Reach::Unreachable));
    assert_eq!(size::<58>(), Ok(Reach::Unreachable));
    assert_eq!(size::<77>(), Ok(Reach::Unreachable));
    assert_eq!(size::<78>(), Ok(Reach::Reachable));
    // The same URI twice takes its place once.
    let own = uri("sip:alice@a.example");
    assert!(Dialog::<19>::request(SEED, own, own).is_ok());
    assert!(Dialog::<18>::request(SEED, own, own).is_err());
}

#[test]
fn routes_without_end_make_the_peer_unreachable() {
    for (count, reach) in [
        (16, Reach::Reachable),
        (17, Reach::Unreachable),
        (90, Reach::Unreachable),
    ] {
        let mut dialog = Dialog::<1024>::request(SEED, uri("sip:a@b"), uri("sip:a@b")).unwrap();
        let routes = vec!["<sip:p;lr>"; count].join(",");
        let lines = format!("Record-Route: {routes}\nContact: <sip:c@d>");
        assert_eq!(
            by_request(&mut dialog, &notify(&lines)),
            Ok(reach),
            "{count}"
        );
    }
}

/// A phone on an IMS core: the texts of 3GPP TS 23.003 §13 fit the default size.
#[test]
fn a_subscription_on_an_ims_core_fits() {
    let own = uri("sip:+491701234567@ims.mnc001.mcc262.3gppnetwork.org");
    let mut dialog = Dialog::<288>::request(SEED, own, own).unwrap();
    let lines = "Record-Route: <sip:pcscf01.ims.mnc001.mcc262.3gppnetwork.org:5060;lr>
        Contact: <sip:scscf01.ims.mnc001.mcc262.3gppnetwork.org:6060;transport=udp>";
    let bytes = message(
        "NOTIFY sip:a@b SIP/2.0",
        ";tag=4a1f6dd0b2c54f3e9a7781c6e2d0f4b1-99fa",
        ";tag=000000000000abcd",
        lines,
    );
    assert_eq!(by_request(&mut dialog, &bytes), Ok(Reach::Reachable));
}
