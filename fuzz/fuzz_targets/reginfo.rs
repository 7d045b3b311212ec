//! Registration information and the remarks of an IMS core: any bytes are read to an end, and read alike twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::error::{ParseError, ParseErrorKind};
use oma_im::wire::ims3gpp::Ims3gpp;
use oma_im::wire::reginfo::{Item, RegInfo};

fuzz_target!(|document: &[u8]| {
    if let Ok(remark) = Ims3gpp::parse(document)
        && remark.asks_for_restoration()
    {
        let service = remark.alternative_service.expect("it says what to do");
        assert!(service.kind.is_some_and(|kind| kind == *"restoration"));
    }
    let Ok(info) = RegInfo::new(document) else {
        return;
    };
    let mut items = 0;
    let mut registered = false;
    let mut ended: Option<ParseError> = None;
    for item in info.clone() {
        assert!(ended.is_none(), "an item after {ended:?}");
        items += 1;
        match item {
            Ok(Item::Registration(it)) => {
                registered = true;
                let _ = (it.aor.to_string(), it.id.to_string());
            }
            Ok(Item::Contact(it)) => {
                assert!(registered, "a contact of nobody");
                assert!(!it.uri.is_empty());
            }
            Err(error) if error.kind == ParseErrorKind::Document => {}
            Err(error) => ended = Some(error),
        }
    }
    assert!(items <= document.len());
    assert_eq!(info.count(), items);
});
