use crate::{Chance, corpus};
use oma_im::wire::cpim::{Cpim, CpimWriter, Party};
use oma_im::wire::error::ParseErrorKind as Kind;
use oma_im::wire::imdn::{
    self, CONTENT_DISPOSITION, DeliveryStatus, DisplayStatus, Disposition, Imdn, MEDIA_TYPE,
    NewImdn, ProcessingStatus,
};
use oma_im::wire::mime::MediaType;
use oma_im::wire::sink::Sink;
use oma_im::wire::writer::{Text, Token, UriText};

fn media(value: &str) -> MediaType<'_> {
    MediaType::parse(value.as_bytes()).unwrap()
}

fn document(inner: &str) -> String {
    format!("<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">{inner}</imdn>")
}

const GOLDEN_09: &str = "From: <sip:bob@ims.example.com>\r\n\
    To: Alice <sip:alice@ims.example.com>\r\n\
    NS: imdn <urn:ietf:params:imdn>\r\n\
    imdn.Message-ID: d834jied93rfQ2\r\n\
    \r\n\
    Content-type: message/imdn+xml\r\n\
    Content-Disposition: notification\r\n\
    Content-length: 405\r\n\
    \r\n\
    <?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
    <imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\r\n\
    \x20 <message-id>Mk9s2Vd0aQ7xT3</message-id>\r\n\
    \x20 <datetime>2026-11-22T18:41:56Z</datetime>\r\n\
    \x20 <recipient-uri>sip:bob@ims.example.com</recipient-uri>\r\n\
    \x20 <original-recipient-uri>sip:bob@ims.example.com</original-recipient-uri>\r\n\
    \x20 <delivery-notification>\r\n\
    \x20   <status><delivered/></status>\r\n\
    \x20 </delivery-notification>\r\n\
    </imdn>\r\n";

#[test]
fn golden_09_is_written_byte_for_byte_and_read_back() {
    let bob = UriText::new("sip:bob@ims.example.com").unwrap();
    let alice = UriText::new("sip:alice@ims.example.com").unwrap();
    let mut out = [0; 700];
    let mut sink = Sink::new(&mut out);
    let mut cpim = CpimWriter::new(&mut sink, Party::new(bob));
    cpim.to(Party::new(alice).named("Alice"));
    cpim.message_id(Token::new("d834jied93rfQ2").unwrap());
    let imdn = NewImdn {
        message_id: "Mk9s2Vd0aQ7xT3",
        datetime: "2026-11-22T18:41:56Z",
        recipient_uri: "sip:bob@ims.example.com",
        original_recipient_uri: "sip:bob@ims.example.com",
        disposition: Disposition::Delivery(DeliveryStatus::Delivered),
    };
    cpim.content(Text::new(MEDIA_TYPE).unwrap())
        .disposition(Token::new(CONTENT_DISPOSITION).unwrap())
        .body_with(|sink| imdn.put(sink));
    let len = sink.finish().unwrap();
    assert_eq!(std::str::from_utf8(&out[..len]).unwrap(), GOLDEN_09);
    assert_eq!(len, 635);

    let mut reports = imdn::reports(media("message/cpim"), GOLDEN_09.as_bytes());
    let report = reports.next().unwrap().unwrap();
    assert!(report.message_id == *"Mk9s2Vd0aQ7xT3");
    assert!(report.datetime.unwrap() == *"2026-11-22T18:41:56Z");
    assert!(report.recipient_uri.unwrap() == *"sip:bob@ims.example.com");
    assert!(report.original_recipient_uri.unwrap() == *"sip:bob@ims.example.com");
    assert!(report.subject.is_none());
    assert_eq!(
        report.disposition,
        Disposition::Delivery(DeliveryStatus::Delivered)
    );
    assert!(reports.next().is_none());
}

#[test]
fn every_imdn_document_of_the_corpus_is_read() {
    let mut kinds = Vec::new();
    for (name, bytes) in corpus("xml") {
        if !name.starts_with("rfc5438") {
            continue;
        }
        // The folder holds the RELAX NG schema of §11.1.9 too.
        match Imdn::parse(&bytes) {
            Ok(imdn) => {
                assert_eq!(imdn.validate(), Ok(()));
                assert!(imdn.message_id == *"34jk324j", "{name}");
                kinds.push(imdn.disposition.element());
            }
            Err(e) => assert!(
                e.kind == Kind::Document && bytes.windows(8).any(|w| w == b"<grammar"),
                "{name}: {e}"
            ),
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "delivery-notification",
            "display-notification",
            "processing-notification"
        ]
    );
}

#[test]
fn every_disposition_is_written_and_read_back_whatever_its_text() {
    let all = DeliveryStatus::ALL
        .iter()
        .map(|s| Disposition::Delivery(*s))
        .chain(DisplayStatus::ALL.iter().map(|s| Disposition::Display(*s)))
        .chain(
            ProcessingStatus::ALL
                .iter()
                .map(|s| Disposition::Processing(*s)),
        );
    let mut count = 0;
    for disposition in all {
        let text = "</message-id><status><failed/>&]]>\"' \u{1f600}";
        let imdn = NewImdn {
            message_id: text,
            datetime: text,
            recipient_uri: text,
            original_recipient_uri: text,
            disposition,
        };
        let mut out = [0; 1000];
        let mut sink = Sink::new(&mut out);
        imdn.put(&mut sink);
        let len = sink.finish().unwrap();
        let read = Imdn::parse(&out[..len]).unwrap();
        assert_eq!(read.disposition, disposition);
        for field in [
            Some(read.message_id),
            read.datetime,
            read.recipient_uri,
            read.original_recipient_uri,
        ] {
            assert_eq!(field.unwrap().to_string(), text);
        }
        count += 1;
    }
    assert_eq!(count, 11);
}

#[test]
fn documents_are_read_as_peers_write_them() {
    let delivered = Disposition::Delivery(DeliveryStatus::Delivered);
    for text in [
        // Any order, white space, extensions, another prefix, CDATA, no datetime.
        document("<delivery-notification><status>\r\n<delivered/></status></delivery-notification>\n<message-id>\n 1 \n</message-id>"),
        document("<x:note xmlns:x='urn:x'><message-id>no</message-id></x:note><message-id>1</message-id><delivery-notification><x:y xmlns:x='urn:x'/><status><x:z xmlns:x='urn:x'/><delivered/></status></delivery-notification>"),
        document("<message-id><![CDATA[1]]></message-id><delivery-notification><status><delivered></delivered></status></delivery-notification>"),
        "<i:imdn xmlns:i='urn:ietf:params:xml:ns:imdn'><i:message-id>1</i:message-id><i:delivery-notification><i:status><i:delivered/></i:status></i:delivery-notification></i:imdn>".into(),
        document("<message-id>1</message-id><message-id>2</message-id><delivery-notification><status><delivered/><failed/></status></delivery-notification><display-notification><status><displayed/></status></display-notification>"),
    ] {
        let imdn = Imdn::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(imdn.message_id.to_string(), "1", "{text}");
        assert_eq!(imdn.disposition, delivered, "{text}");
        assert_eq!(imdn.validate().unwrap_err().kind, Kind::Document);
        assert!(imdn.subject.is_none());
    }
    // §11.1.2: the datetime is mandatory; §11.1.5: the subject is not.
    let status = "<delivery-notification><status><delivered/></status></delivery-notification>";
    for (datetime, valid) in [("2006-04-04T12:16:49-05:00", true), (" ", false)] {
        let text = document(&format!(
            "<message-id>1</message-id><datetime>{datetime}</datetime><subject> Hi &amp; bye </subject>{status}"
        ));
        let imdn = Imdn::parse(text.as_bytes()).unwrap();
        assert_eq!(imdn.subject.unwrap().to_string(), "Hi & bye");
        assert_eq!(imdn.validate().is_ok(), valid, "{datetime}");
    }
}

#[test]
fn a_document_that_lacks_what_it_needs_is_refused() {
    let status = "<delivery-notification><status><delivered/></status></delivery-notification>";
    for text in [
        document(""),
        document(status),
        document(&format!("<message-id/>{status}")),
        document("<message-id>1</message-id>"),
        document("<message-id>1</message-id><delivery-notification/>"),
        document(
            "<message-id>1</message-id><delivery-notification><status/></delivery-notification>",
        ),
        document(
            "<message-id>1</message-id><delivery-notification><delivered/></delivery-notification>",
        ),
        // A status of another kind.
        document(
            "<message-id>1</message-id><delivery-notification><status><displayed/></status></delivery-notification>",
        ),
        document(
            "<message-id>1</message-id><display-notification><status><delivered/></status></display-notification>",
        ),
        format!("<imdn><message-id>1</message-id>{status}</imdn>"),
        format!("<imdn xmlns='urn:x'><message-id>1</message-id>{status}</imdn>"),
        format!(
            "<report xmlns='urn:ietf:params:xml:ns:imdn'><message-id>1</message-id>{status}</report>"
        ),
    ] {
        assert_eq!(
            Imdn::parse(text.as_bytes()).unwrap_err().kind,
            Kind::Document,
            "{text}"
        );
    }
    let junk = format!(
        "{}x",
        document(&format!("<message-id>1</message-id>{status}"))
    );
    assert_eq!(Imdn::parse(junk.as_bytes()).unwrap_err().kind, Kind::Xml);
}

/// RFC 5438 §8.3, whole, and as list servers may nest it.
#[test]
fn aggregated_reports_are_read_one_by_one() {
    let one = |id: &str, status: &str| {
        let kind = if status == "displayed" {
            "display"
        } else {
            "delivery"
        };
        document(&format!(
            "<message-id>{id}</message-id><{kind}-notification><status><{status}/></status></{kind}-notification>"
        ))
    };
    let cpim = |content: &str| {
        format!("From: <im:b@example.com>\r\nTo: <im:a@example.com>\r\n\r\n{content}")
    };
    let imdn = |id: &str, status: &str| {
        format!("Content-type: message/imdn+xml\r\n\r\n{}", one(id, status))
    };
    let in_cpim = format!(
        "Content-type: message/cpim\r\n\r\n{}",
        cpim(&imdn("3", "forbidden"))
    );
    let mixed = format!(
        "Content-type: multipart/mixed;\r\n                   boundary=\"imdn-boundary\"\r\nContent-Disposition: notification\r\n\r\n\
         --imdn-boundary\r\n{}\r\n--imdn-boundary\r\n{}\r\n--imdn-boundary\r\nContent-type: text/plain\r\n\r\nnote\r\n--imdn-boundary\r\n{in_cpim}\r\n--imdn-boundary",
        imdn("1", "delivered"),
        imdn("2", "displayed"),
    );
    let body = cpim(&mixed);
    assert!(imdn::is_report(
        Cpim::parse(body.as_bytes()).unwrap().content()
    ));
    let read: Vec<_> = imdn::reports(media("Message/CPIM"), body.as_bytes())
        .map(|r| {
            r.map(|r| format!("{} {}", r.message_id, r.disposition.status()))
                .unwrap()
        })
        .collect();
    assert_eq!(read, ["1 delivered", "2 displayed", "3 forbidden"]);
    // A document that is malformed does not take the others with it.
    let broken = body.replacen("</message-id>", "</message>", 1);
    let read: Vec<_> = imdn::reports(media("message/cpim"), broken.as_bytes())
        .map(|r| r.is_ok())
        .collect();
    assert_eq!(read, [false, true, true]);
    // An envelope that is malformed ends it.
    let broken = body.replace(
        "From: <im:b@example.com>\r\nTo: <im:a@example.com>\r\n\r\nContent-type: message/imdn",
        "no header\r\n\r\nx",
    );
    let broken = format!("{broken}\r\n{}\r\n--imdn-boundary--", imdn("4", "failed"));
    let read: Vec<_> = imdn::reports(media("message/cpim"), broken.as_bytes())
        .map(|r| r.is_ok())
        .collect();
    assert_eq!(read, [true, true, false]);
    // A multipart that nobody marked as a notification is a message.
    let unmarked = body.replace("Content-Disposition: notification\r\n", "");
    for (body, is_report) in [(&body, true), (&unmarked, false)] {
        let cpim = Cpim::parse(body.as_bytes()).unwrap();
        assert_eq!(imdn::is_report(cpim.content()), is_report);
    }
    let text = cpim("Content-type: text/plain\r\nContent-Disposition: notification\r\n\r\nx");
    assert!(!imdn::is_report(
        Cpim::parse(text.as_bytes()).unwrap().content()
    ));
    // Without CPIM around it, and alone.
    let bare = format!("--b\r\n{}\r\n--b--", imdn("1", "failed"));
    assert_eq!(
        imdn::reports(media("multipart/mixed;boundary=b"), bare.as_bytes()).count(),
        1
    );
    assert_eq!(
        imdn::reports(media(MEDIA_TYPE), one("1", "error").as_bytes()).count(),
        1
    );
    assert_eq!(
        imdn::reports(media("text/plain"), one("1", "error").as_bytes()).count(),
        0
    );
}

#[test]
fn envelopes_in_envelopes_end_at_the_limit() {
    let mut body = String::from("Content-type: text/plain\r\n\r\nx");
    for _ in 0..1000 {
        body = format!("From: <im:b@c>\r\nTo: <im:a@c>\r\n\r\n{body}");
        body = format!("Content-type: message/cpim\r\n\r\n{body}");
    }
    let body = body
        .strip_prefix("Content-type: message/cpim\r\n\r\n")
        .unwrap();
    let read: Vec<_> = imdn::reports(media("message/cpim"), body.as_bytes())
        .map(|r| r.unwrap_err().kind)
        .collect();
    assert_eq!(read, [Kind::Multipart]);
}

#[test]
fn a_cpim_report_without_namespace_and_message_id_is_a_report() {
    // As deployed peers send it.
    let body = format!(
        "To: sip:alice@example.com\r\nFrom:<sip:bob@example.com>\r\n\r\nContent-Disposition: Notification\r\nContent-length:1\r\nCONTENT-TYPE:message/imdn+xml;charset=UTF-8\r\n\r\n{}",
        document(
            "<message-id>7</message-id><datetime>x</datetime><display-notification><status><displayed/></status></display-notification>"
        )
    );
    let cpim = Cpim::parse(body.as_bytes()).unwrap();
    assert_eq!(cpim.validate(), Ok(()));
    assert_eq!(cpim.message_id(), None);
    assert!(imdn::is_report(cpim.content()));
    let read: Vec<_> = imdn::reports(media("message/cpim"), body.as_bytes())
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        read[0].disposition,
        Disposition::Display(DisplayStatus::Displayed)
    );
}

#[test]
fn no_cut_and_no_broken_byte_ends_in_a_panic() {
    let seed = 0x5438;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let walk = |bytes: &[u8]| {
        for report in imdn::reports(media("message/cpim"), bytes).flatten() {
            let _ = report.message_id.to_string();
        }
    };
    let pieces = b"<>/\"'&;=-\r\n :\0\xff";
    for cut in 0..GOLDEN_09.len() {
        walk(&GOLDEN_09.as_bytes()[..cut]);
    }
    for _ in 0..20_000 {
        let mut bytes = GOLDEN_09.as_bytes().to_vec();
        for _ in 0..=chance.below(3) {
            let at = chance.below(bytes.len());
            bytes[at] = pieces[chance.below(pieces.len())];
        }
        walk(&bytes);
    }
}

#[cfg(feature = "deflate")]
mod deflated {
    use super::*;
    use oma_im::wire::deflate::{InflateError, inflate};

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        miniz_oxide::deflate::compress_to_vec_zlib(bytes, 6)
    }

    #[test]
    fn a_deflated_report_is_inflated_and_read() {
        let raw = miniz_oxide::deflate::compress_to_vec(GOLDEN_09.as_bytes(), 6);
        for (encoding, body) in [("deflate", zlib(GOLDEN_09.as_bytes())), ("Deflate", raw)] {
            let mut scratch = [0; 1024];
            let body = inflate(encoding.as_bytes(), &body, &mut scratch).unwrap();
            assert_eq!(body, GOLDEN_09.as_bytes());
            assert_eq!(imdn::reports(media("message/cpim"), body).count(), 1);
        }
    }

    #[test]
    fn a_body_one_byte_too_long_and_a_bomb_are_refused() {
        let body = zlib(&[b'x'; 1000]);
        assert_eq!(
            inflate(b"deflate", &body, &mut [0; 1001]).map(<[u8]>::len),
            Ok(1000)
        );
        assert_eq!(
            inflate(b"deflate", &body, &mut [0; 1000]).map(<[u8]>::len),
            Ok(1000)
        );
        assert_eq!(
            inflate(b"deflate", &body, &mut [0; 999]),
            Err(InflateError::TooSmall)
        );
        assert_eq!(
            inflate(b"deflate", &body, &mut []),
            Err(InflateError::TooSmall)
        );
        let bomb = zlib(&vec![0; 100_000_000]);
        assert_eq!(
            inflate(b"deflate", &bomb, &mut [0; 4096]),
            Err(InflateError::TooSmall)
        );
    }

    #[test]
    fn what_is_no_deflate_stream_is_refused() {
        let whole = zlib(GOLDEN_09.as_bytes());
        let mut scratch = [0; 1024];
        for cut in 0..whole.len() {
            let refused = inflate(b"deflate", &whole[..cut], &mut scratch);
            assert_eq!(refused, Err(InflateError::Truncated), "{cut}");
        }
        let mut wrong = whole.clone();
        *wrong.last_mut().unwrap() ^= 1;
        let refused = inflate(b"deflate", &wrong, &mut scratch);
        assert_eq!(refused, Err(InflateError::Malformed));
        for encoding in ["gzip", "", "identity", "deflate, gzip"] {
            let refused = inflate(encoding.as_bytes(), &whole, &mut scratch);
            assert_eq!(refused, Err(InflateError::UnknownEncoding));
        }
    }

    // RFC 3261 §21.4.1, §21.4.11, §21.4.13
    #[test]
    fn what_is_refused_has_its_status() {
        assert_eq!(InflateError::UnknownEncoding.status(), 415);
        assert_eq!(InflateError::Malformed.status(), 400);
        assert_eq!(InflateError::Truncated.status(), 400);
        assert_eq!(InflateError::TooSmall.status(), 413);
    }

    #[test]
    fn the_state_of_the_inflater_is_what_the_page_says() {
        let bytes = size_of::<miniz_oxide::inflate::core::DecompressorOxide>();
        assert!((10_000..12_000).contains(&bytes), "{bytes}");
    }
}
