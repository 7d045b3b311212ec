//! Where reports go: the rows of the table, in their order.

use oma_im::im::imdn::{
    Asked, Content, Core, NamedBy, NoReport, Origin, Outcome, ReportKind, Sender, Target,
    is_anonymous, report_target,
};
use oma_im::wire::cpim::{Cpim, Notifications};
use oma_im::wire::imdn::{DeliveryStatus, DisplayStatus};

const DELIVERED: Outcome = Outcome::Delivery(DeliveryStatus::Delivered);
const DISPLAYED: Outcome = Outcome::Display(DisplayStatus::Displayed);

fn asked() -> Asked<'static> {
    Asked {
        message_id: Some("34jk324j"),
        datetime: Some("2006-04-04T12:16:49-05:00"),
        notifications: Notifications::POSITIVE_DELIVERY,
        content: Content::Message,
        record_route: None,
        from: "sip:alice@example.com",
    }
}

fn ims(asserted: &'static [&'static [u8]]) -> Sender<'static> {
    Sender {
        asserted,
        from: b"sip:whoever@example.net",
        origin: Origin::Elsewhere,
        core: Core::AssertsIdentities,
    }
}

fn to(uri: &'static str, named_by: NamedBy) -> Result<Target<'static>, NoReport> {
    Ok(Target {
        uri: uri.as_bytes(),
        named_by,
    })
}

#[test]
fn row_1_the_topmost_record_route_comes_first() {
    let asked = Asked {
        record_route: Some("sip:list@example.com"),
        ..asked()
    };
    for sender in [ims(&[]), ims(&[b"sip:alice@example.com"])] {
        let target = report_target(DELIVERED, &asked, &sender);
        assert_eq!(target, to("sip:list@example.com", NamedBy::RecordRoute));
    }
}

#[test]
fn row_2_the_cpim_from_counts_if_the_network_vouches_for_it() {
    let cpim_from = to("sip:alice@example.com", NamedBy::CpimFrom);
    for asserted in [
        &[&b"sip:alice@example.com"[..]] as &[&[u8]],
        &[b"tel:+15551234", b"sip:alice@EXAMPLE.com"],
        &[b"sip:%61lice@example.com"],
    ] {
        let sender = Sender {
            asserted,
            ..ims(&[])
        };
        assert_eq!(report_target(DELIVERED, &asked(), &sender), cpim_from);
    }
    let server = Sender {
        origin: Origin::ImServer,
        ..ims(&[b"sip:imserver@example.com"])
    };
    assert_eq!(report_target(DELIVERED, &asked(), &server), cpim_from);
}

#[test]
fn row_3_a_stranger_cannot_point_at_someone_else() {
    let sender = ims(&[b"sip:mallory@example.com", b"tel:+15551234"]);
    let target = report_target(DELIVERED, &asked(), &sender);
    assert_eq!(target, to("sip:mallory@example.com", NamedBy::Asserted));
    // The user part compares with case.
    let sender = ims(&[b"sip:Alice@example.com"]);
    let target = report_target(DELIVERED, &asked(), &sender);
    assert_eq!(target, to("sip:Alice@example.com", NamedBy::Asserted));
}

#[test]
fn row_4_the_sip_from_counts_where_nobody_asserts() {
    let plain = Sender {
        core: Core::Plain,
        ..ims(&[])
    };
    let target = report_target(DELIVERED, &asked(), &plain);
    assert_eq!(target, to("sip:whoever@example.net", NamedBy::SipFrom));
    // Where identities are asserted and this one is not, nobody knows who it is.
    assert_eq!(
        report_target(DELIVERED, &asked(), &ims(&[])),
        Err(NoReport::Anonymous)
    );
}

#[test]
fn row_5_nothing_goes_to_nobody() {
    let anonymous = Err(NoReport::Anonymous);
    let sender = ims(&[b"sip:anonymous@anonymous.invalid"]);
    assert_eq!(report_target(DELIVERED, &asked(), &sender), anonymous);
    let hidden = Asked {
        from: "sip:anonymous@anonymous.invalid",
        ..asked()
    };
    let server = Sender {
        origin: Origin::ImServer,
        ..ims(&[])
    };
    assert_eq!(report_target(DELIVERED, &hidden, &server), anonymous);
    let plain = Sender {
        from: b"sip:anonymous@Anonymous.INVALID;x=y",
        core: Core::Plain,
        ..ims(&[])
    };
    assert_eq!(report_target(DELIVERED, &asked(), &plain), anonymous);
}

#[test]
fn who_is_anonymous() {
    for uri in [
        "sip:anonymous@anonymous.invalid",
        "sips:x@y.invalid:5061;transport=tcp",
        "sip:unavailable@unknown.invalid",
        "sip:Anonymous@example.com",
        "sip:anonymous:secret@example.com",
        "sip:invalid",
        "im:x@a.invalid.",
        "sip:a@b.Invalid?h=v",
    ] {
        assert!(is_anonymous(uri.as_bytes()), "{uri}");
    }
    for uri in [
        "sip:alice@example.com",
        "sip:alice@invalid.example.com",
        "sip:anonymous.person@example.com",
        "tel:+15551234",
        "sip:example.com",
        "",
        ":",
        "@",
    ] {
        assert!(!is_anonymous(uri.as_bytes()), "{uri}");
    }
}

#[test]
fn no_report_without_what_rfc5438_asks_for() {
    let sender = ims(&[b"sip:alice@example.com"]);
    let refused =
        |asked: Asked<'static>, outcome| report_target(outcome, &asked, &sender).unwrap_err();
    let report = Asked {
        content: Content::Report,
        ..asked()
    };
    assert_eq!(refused(report, DELIVERED), NoReport::IsReport);
    assert_eq!(refused(asked(), DISPLAYED), NoReport::NotAskedFor);
    let failed = Outcome::Delivery(DeliveryStatus::Failed);
    assert_eq!(refused(asked(), failed), NoReport::NotAskedFor);
    let nothing = Asked {
        notifications: Notifications::NONE,
        ..asked()
    };
    assert_eq!(refused(nothing, DELIVERED), NoReport::NotAskedFor);
    let nameless = Asked {
        message_id: None,
        ..asked()
    };
    assert_eq!(refused(nameless, DELIVERED), NoReport::NoMessageId);
    let timeless = Asked {
        datetime: None,
        ..asked()
    };
    assert_eq!(refused(timeless, DELIVERED), NoReport::NoDatetime);
    assert_eq!(failed.kind(), ReportKind::Delivery);
    assert_eq!(DISPLAYED.kind(), ReportKind::Display);
}

#[test]
fn an_envelope_says_what_it_asks_for() {
    let bytes = b"From: Alice <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n\
        DateTime: 2026-11-22T18:41:56Z\r\nimdn.Message-ID: 1\r\n\
        imdn.Disposition-Notification: display\r\n\
        imdn.IMDN-Record-Route: <sip:one@example.com>\r\n\
        imdn.IMDN-Record-Route: <sip:two@example.com>\r\n\r\n\
        Content-type: text/plain\r\n\r\nHello";
    let asked = Asked::by(&Cpim::parse(bytes).unwrap()).unwrap();
    let expected = Asked {
        message_id: Some("1"),
        datetime: Some("2026-11-22T18:41:56Z"),
        notifications: Notifications::DISPLAY,
        content: Content::Message,
        record_route: Some("sip:one@example.com"),
        from: "sip:alice@example.com",
    };
    assert_eq!(asked, expected);
    let bytes = b"From: <sip:b@example.com>\r\nTo: <sip:a@example.com>\r\n\r\n\
        Content-type: message/imdn+xml\r\n\r\n<imdn/>";
    let asked = Asked::by(&Cpim::parse(bytes).unwrap()).unwrap();
    assert_eq!(asked.content, Content::Report);
}
