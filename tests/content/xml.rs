use crate::{Chance, corpus};
use oma_im::wire::error::{ParseError, ParseErrorKind as Kind};
use oma_im::wire::sink::Sink;
use oma_im::wire::xml::{self, Event, Reader};
use std::fmt::Write;

/// The document as one line of events: what a consumer would see, text joined and unescaped.
fn events(document: &[u8]) -> Result<String, ParseError> {
    let mut reader = Reader::new(document)?;
    let mut out = String::new();
    loop {
        match reader.read()? {
            Event::Start(start) => {
                let name = start.name();
                write!(out, "<{{{}}}{}", name.namespace(), name.local()).unwrap();
                for a in start.attributes() {
                    let name = a.name;
                    write!(
                        out,
                        " {{{}}}{}={:?}",
                        name.namespace(),
                        name.local(),
                        a.value.to_string()
                    )
                    .unwrap();
                }
                out.push('>');
            }
            Event::Text(text) => write!(out, "{:?}", text.to_string()).unwrap(),
            Event::End(name) => write!(out, "</{{{}}}{}>", name.namespace(), name.local()).unwrap(),
            Event::Eof => return Ok(out),
        }
    }
}

/// The same line from another implementation.
fn oracle(document: &str) -> Option<String> {
    fn walk(node: roxmltree::Node<'_, '_>, out: &mut String) {
        if node.is_element() {
            let name = node.tag_name();
            let namespace = name.namespace().unwrap_or("");
            write!(out, "<{{{namespace}}}{}", name.name()).unwrap();
            for a in node.attributes() {
                let ns = a.namespace().unwrap_or("");
                write!(out, " {{{ns}}}{}={:?}", a.name(), a.value()).unwrap();
            }
            out.push('>');
            let mut text = String::new();
            let flush = |text: &mut String, out: &mut String| {
                if !text.is_empty() {
                    write!(out, "{text:?}").unwrap();
                }
                text.clear();
            };
            for child in node.children() {
                if let Some(t) = child.text().filter(|_| child.is_text()) {
                    text.push_str(t);
                } else if child.is_element() {
                    flush(&mut text, out);
                    walk(child, out);
                }
            }
            flush(&mut text, out);
            write!(out, "</{{{namespace}}}{}>", name.name()).unwrap();
        }
    }
    let document = roxmltree::Document::parse(document).ok()?;
    let mut out = String::new();
    walk(document.root_element(), &mut out);
    Some(out)
}

fn fault(document: &str) -> Kind {
    events(document.as_bytes()).unwrap_err().kind
}

#[test]
fn every_xml_row_of_the_corpus_is_judged_and_read_right() {
    let rejected = ["rfc4235-018.xml", "rfc4826-006.xml"];
    let rows = corpus("xml");
    assert_eq!(rows.len(), 65);
    for (name, bytes) in rows {
        let ours = events(&bytes);
        if rejected.contains(&name.as_str()) {
            assert_eq!(ours.map_err(|e| e.kind), Err(Kind::Xml), "{name}");
        } else {
            let text = std::str::from_utf8(&bytes).unwrap();
            assert_eq!(ours.ok(), oracle(text), "{name}");
        }
    }
}

#[test]
fn what_it_takes_it_reads_like_another_reader() {
    for document in [
        "<a/>",
        "\u{feff}<a/>",
        "<?xml version='1.0'?><a></a >",
        "<?xml version=\"1.0\" encoding='utf-8' standalone='yes' ?>\n<!-- x --><a b = 'c'\td=\"e\"/><!-- y -->\n",
        "<a>x<!-- y -->z<![CDATA[<&&amp;]]>&lt;&#x41;&#66;&apos;&quot;&gt;&amp;</a>",
        "<a>line\r\nline\rline\nline&#13;</a>",
        "<a b='x&#10;y'>\u{e9}\u{1f600}</a>",
        "<p:a xmlns:p='urn:1' p:b='c' b='d'><p:a xmlns:p='urn:2' p:b='c'/><p:c/></p:a>",
        "<a xmlns='urn:1' b='c'><d xmlns=''><e/></d><f xml:lang='de'/></a>",
        "<a xmlns:p='urn:1&amp;2'><p:b/></a>",
        "<élan naïve='ü'/>",
        "<a><b/>t<b></b><![CDATA[]]></a>",
        "<a>]] ></a>",
        "<?xml version='1.0' standalone='no'?><a/>",
        "<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang='de'/>",
        "<a xmlns:p='u' xmlns:q='v' p:b='1' q:b='2' b='3'/>",
        "<a xmlns:b='u' xmlns:p='v' p:b='1'/>",
    ] {
        let ours = events(document.as_bytes());
        assert!(ours.is_ok(), "{document}: {ours:?}");
        assert_eq!(ours.ok(), oracle(document), "{document}");
    }
    // Attribute values: XML 1.0 §3.3.3 by the letter.
    let white = events(b"<a b='x\ty\r\nz'/>").unwrap();
    assert_eq!(white, "<{}a {}b=\"x y z\"></{}a>");
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for document in [
        "x",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "x<a/>",
        "</a>",
        "<a b='1' b='2'/>",
        "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
        "<p:a/>",
        "<a p:b='1'/>",
        "<a b=1/>",
        "<a b/>",
        "<a b='1'c='2'/>",
        "<a b='<'/>",
        "<a>&</a>",
        "<a>& b</a>",
        "<a>&#0;</a>",
        "<a>&#x110000;</a>",
        "<a>&#xd800;</a>",
        "<a>&#;</a>",
        "<a>&#x;</a>",
        "<a>&#99999999999999999999;</a>",
        "<a>]]></a>",
        "<a>\u{1}</a>",
        "<a>\u{ffff}</a>",
        "<a>\0</a>",
        "<a b='\0'/>",
        "<!-- \0 --><a/>",
        "<a><!-- -- --></a>",
        "<a>< b/></a>",
        "<1a/>",
        "<a:/>",
        "<:a/>",
        "<a:b:c xmlns:a='u'/>",
        "<a xmlns:xmlns='u'/>",
        "<a xmlns:p=''/>",
        "<a xmlns:xml='u'/>",
        "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<![CDATA[x]]><a/>",
        "<?xml encoding='UTF-8'?><a/>",
        "<?xml version='2.0'?><a/>",
        "<?xml version='1.0' version='1.0'?><a/>",
        "<?xml ?><a/>",
        "<?xml version='1.0' standalone='maybe'?><a/>",
        "<?xml version='1.0' standalone='yes' encoding='UTF-8'?><a/>",
        "<?xml version='1.0'standalone='yes'?><a/>",
        "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
    ] {
        assert_eq!(fault(document), Kind::Xml, "{document}");
    }
}

#[test]
fn dtd_entities_and_instructions_are_refused() {
    for document in [
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY l 'l'>]><a>&l;</a>",
        "<a>&l;</a>",
        "<a b='&nbsp;'/>",
        "<a><?php x?></a>",
        "<?xml-stylesheet href='x'?><a/>",
        " <?xml version='1.0'?><a/>",
        "<a/><?x?>",
    ] {
        assert_eq!(fault(document), Kind::XmlForbidden, "{document}");
    }
    // What is no name is no entity either, but a fault.
    for document in ["<a>&b c;</a>", "<a>&1;</a>", "<a>&;</a>"] {
        assert_eq!(fault(document), Kind::Xml, "{document}");
    }
}

#[test]
fn only_utf8_is_read() {
    let utf16: Vec<u8> = "\u{feff}<a/>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(events(&utf16).unwrap_err().kind, Kind::Utf8);
    assert_eq!(
        events(b"<a>\xe9</a>").unwrap_err(),
        ParseError::new(Kind::Utf8, 3)
    );
    assert_eq!(
        fault("<?xml version='1.0' encoding='ISO-8859-1'?><a/>"),
        Kind::Utf8
    );
    assert_eq!(
        fault("<?xml version='1.0' encoding='UTF-16'?><a/>"),
        Kind::Utf8
    );
    assert!(events(b"<?xml version='1.0' encoding='us-ascii'?><a/>").is_ok());
}

#[test]
fn depth_attributes_namespaces_and_names_at_limit_minus_one_limit_and_plus_one() {
    let nested = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
    let attributes = |n: usize| {
        let list: String = (0..n).map(|i| format!(" a{i}=''")).collect();
        format!("<a{list}/>")
    };
    // Spread over two elements, so that no element has too many attributes.
    let namespaces = |n: usize| {
        let declare = |from: usize, to: usize| -> String {
            (from..to).map(|i| format!(" xmlns:p{i}='u{i}'")).collect()
        };
        format!("<a{}><b{}/></a>", declare(0, 8), declare(8, n))
    };
    let name = |n: usize| format!("<{}/>", "a".repeat(n));
    let uri = |n: usize| format!("<a xmlns='{}'/>", "u".repeat(n));
    type Make<'a> = &'a dyn Fn(usize) -> String;
    let limits: [(&str, usize, Make<'_>); 5] = [
        ("depth", xml::MAX_DEPTH, &nested),
        ("attributes", xml::MAX_ATTRIBUTES, &attributes),
        ("namespaces", xml::MAX_NAMESPACES, &namespaces),
        ("name", xml::MAX_NAME, &name),
        ("namespace name", xml::MAX_NAME, &uri),
    ];
    for (what, limit, make) in limits {
        assert!(events(make(limit - 1).as_bytes()).is_ok(), "{what}");
        assert!(events(make(limit).as_bytes()).is_ok(), "{what}");
        assert_eq!(fault(&make(limit + 1)), Kind::XmlTooComplex, "{what}");
        assert_eq!(fault(&make(100_000)), Kind::XmlTooComplex, "{what}");
    }
    // The bindings of a closed element are free again.
    let again = "<b xmlns:p='u' xmlns:q='v'/>".repeat(100);
    assert!(events(format!("<a>{again}</a>").as_bytes()).is_ok());
}

#[test]
fn a_cut_document_is_truncated_or_malformed_and_never_whole() {
    for (name, bytes) in corpus("xml") {
        let text = String::from_utf8(bytes).unwrap();
        let whole = text.trim_end();
        for cut in (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
            assert!(
                events(&whole.as_bytes()[..cut]).is_err(),
                "{name} cut at {cut}"
            );
        }
    }
}

#[test]
fn broken_documents_are_judged_like_another_reader_judges_them() {
    let seed = 0x0411;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    // No colon: the other reader takes an empty prefix.
    let pieces: [&str; 15] = [
        "<",
        ">",
        "/",
        "&",
        ";",
        "'",
        "\"",
        "]]>",
        "<!--",
        "-->",
        "<![CDATA[",
        " ",
        "=",
        "x",
        "&#x41;",
    ];
    let rows = corpus("xml");
    let mut both = [0, 0];
    for round in 0..20_000 {
        let (name, bytes) = &rows[round % rows.len()];
        let mut text: Vec<char> = std::str::from_utf8(bytes).unwrap().chars().collect();
        // Past the declaration, whose values the other reader does not check.
        let start = text
            .windows(2)
            .position(|w| w == ['?', '>'])
            .map_or(0, |at| at + 2);
        for _ in 0..=chance.below(2) {
            let at = start + chance.below(text.len() - start);
            match chance.below(3) {
                0 => drop(text.remove(at)),
                1 => text
                    .splice(at..at, pieces[chance.below(15)].chars())
                    .for_each(drop),
                _ => text[at] = pieces[chance.below(15)].chars().next().unwrap(),
            }
        }
        let text: String = text.into_iter().collect();
        match events(text.as_bytes()) {
            Ok(ours) => {
                both[0] += 1;
                assert_eq!(Some(ours), oracle(&text), "{name}:\n{text}");
            }
            // Forbidden is our own stricter rule; all else has to be a fault to both.
            Err(e) if e.kind != Kind::XmlForbidden => {
                both[1] += 1;
                assert_eq!(oracle(&text), None, "{name}: {e}\n{text}");
            }
            Err(_) => {}
        }
    }
    assert!(both.iter().all(|n| *n > 1000), "{both:?}");
}

/// A reader that searches again from where it was would take minutes here.
#[test]
fn a_long_row_of_anything_is_read_in_one_pass() {
    let n = 250_000;
    let uri = "u".repeat(250);
    let declared: String = (0..7).map(|i| format!(" xmlns:p{i}='{uri}{i}'")).collect();
    let used: String = (0..7).map(|i| format!(" p{i}:x=''")).collect();
    for (document, verdict) in [
        (format!("<a>{}", "<!--".repeat(n)), Some(Kind::Xml)),
        (format!("<a><!--{}", "- ".repeat(n)), Some(Kind::Truncated)),
        (format!("<a>{}</a>", "]]".repeat(n)), None),
        (
            format!("<a>{}", "<![CDATA[".repeat(n)),
            Some(Kind::Truncated),
        ),
        (format!("<a>{}</a>", "&amp;".repeat(n)), None),
        (format!("<a>{}</a>", "&".repeat(n)), Some(Kind::Xml)),
        (format!("<a>{}</a>", "<b/>".repeat(n)), None),
        (format!("<a>{}</a>", "<!---->".repeat(n)), None),
        (format!("<a b='{}'/>", "&#65;".repeat(n)), None),
        (format!("<a>&#{}65;</a>", "0".repeat(n)), None),
        (
            format!("<a{declared}>{}</a>", format!("<b{used}/>").repeat(n / 50)),
            None,
        ),
        ("<".repeat(n), Some(Kind::Xml)),
        (" ".repeat(n), Some(Kind::Truncated)),
        (format!("<{}", "a".repeat(n)), Some(Kind::XmlTooComplex)),
    ] {
        let judged = events(document.as_bytes()).map_err(|e| e.kind).err();
        assert_eq!(judged, verdict, "{}", &document[..20]);
    }
}

#[test]
fn children_are_walked_and_the_unknown_skipped() {
    let document = b"<l xmlns='urn:l' xmlns:x='urn:x'> <x:e><e uri='no'/></x:e>\n\
        <e uri='sip:a@b'>first<more/>rest</e><e uri='sip:c@d'/> tail </l>";
    let mut reader = Reader::new(document).unwrap();
    let list = reader.root("urn:l", "l").unwrap();
    let mut seen = Vec::new();
    while let Some(child) = reader.child(list).unwrap() {
        if child.is("urn:l", "e") {
            let uri = child.attribute("", "uri").unwrap().to_string();
            seen.push((uri, reader.text().unwrap().to_string()));
        }
    }
    assert_eq!(
        seen,
        [
            ("sip:a@b".into(), "first".into()),
            ("sip:c@d".into(), String::new())
        ]
    );
    assert!(reader.child(list).unwrap().is_none());
    assert!(reader.finish().is_ok());
    assert_eq!(
        Reader::new(document)
            .unwrap()
            .root("urn:x", "l")
            .unwrap_err()
            .kind,
        Kind::Document
    );
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_reader_is_as_large_as_its_page_says() {
    assert_eq!(size_of::<Reader<'_>>(), 1_720);
}

#[test]
fn an_error_stays() {
    let mut reader = Reader::new(b"<a></b><c/>").unwrap();
    assert!(matches!(reader.read(), Ok(Event::Start(_))));
    let error = reader.read().unwrap_err();
    assert_eq!(reader.read().unwrap_err(), error);
    assert_eq!(error.offset(), 7);
}

#[test]
fn what_is_written_reads_back_and_nothing_gets_out() {
    let nasty = [
        "",
        "plain",
        "</a><b c='d'>&amp;&lt;]]>\"'",
        "<!-- --><![CDATA[x]]>",
        "a\tb\nc\rd\r\ne",
        "\u{e9}\u{1f600}",
    ];
    for text in nasty {
        let mut out = vec![0; 1000];
        let mut sink = Sink::new(&mut out);
        sink.put(b"<a b=\"");
        xml::put_attribute(&mut sink, text);
        sink.put(b"\" c='");
        xml::put_attribute(&mut sink, text);
        sink.put(b"'>");
        xml::put_text(&mut sink, text);
        sink.put(b"</a>");
        let len = sink.finish().unwrap();
        let mut reader = Reader::new(&out[..len]).unwrap();
        let Event::Start(start) = reader.read().unwrap() else {
            panic!()
        };
        assert_eq!(start.attribute("", "b").unwrap().to_string(), text);
        assert_eq!(start.attribute("", "c").unwrap().to_string(), text);
        assert_eq!(reader.text().unwrap().to_string(), text);
        assert!(matches!(reader.read(), Ok(Event::Eof)));
    }
    // What XML cannot carry does not make the document malformed.
    let mut out = [0; 64];
    let mut sink = Sink::new(&mut out);
    xml::put_element(&mut sink, "a", "x\0y\u{ffff}");
    assert_eq!(sink.written(), Some("<a>x\u{fffd}y\u{fffd}</a>".as_bytes()));
}

#[test]
fn text_is_borrowed_when_it_can_be_and_copied_when_it_must() {
    let mut reader = Reader::new(b"<a><b>  plain </b><b>x&amp;y<!-- -->z</b></a>").unwrap();
    let a = reader.root("", "a").unwrap();
    reader.child(a).unwrap();
    let text = reader.text().unwrap();
    assert_eq!(text.trim().as_plain(), Some("plain"));
    reader.child(a).unwrap();
    let text = reader.text().unwrap();
    assert_eq!(text.as_plain(), None);
    assert_eq!(text.read_into(&mut [0; 4]), Some("x&yz"));
    assert_eq!(text.read_into(&mut [0; 3]), None);
    assert!(text == *"x&yz" && text == "x&yz" && text != "x&y");
    // XML 1.0 §3.3.3: a line break in an attribute is a space, a `<` of text cannot stand there.
    for (value, plain) in [
        ("a b", true),
        ("a&lt;", false),
        ("a\tb", false),
        ("a\nb", false),
    ] {
        let document = format!("<a b='{value}'/>");
        let mut reader = Reader::new(document.as_bytes()).unwrap();
        let Event::Start(start) = reader.read().unwrap() else {
            panic!()
        };
        let b = start.attribute("", "b").unwrap();
        assert_eq!(b.as_plain().is_some(), plain, "{value:?}");
    }
    let mut reader = Reader::new(b"<a>1 &lt; 2 \t\n</a>").unwrap();
    reader.root("", "a").unwrap();
    assert_eq!(reader.text().unwrap().to_string(), "1 < 2 \t\n");
}

// XML 1.0 §2.3, the ends of each range of NameStartChar and NameChar, and what stands beside them.
#[test]
fn a_name_begins_and_goes_on_with_the_letters_of_the_standard() {
    let begins = |c: char| {
        let document = format!("<{c}/>");
        Reader::new(document.as_bytes())
            .and_then(|mut reader| reader.read().map(drop))
            .is_ok()
    };
    let goes_on = |c: char| {
        let document = format!("<a{c}/>");
        let mut reader = Reader::new(document.as_bytes()).unwrap();
        matches!(reader.read(), Ok(Event::Start(start)) if start.name().local().ends_with(c))
    };
    let ranges = [
        ('A', 'Z'),
        ('_', '_'),
        ('a', 'z'),
        ('\u{c0}', '\u{d6}'),
        ('\u{d8}', '\u{f6}'),
        ('\u{f8}', '\u{2ff}'),
        ('\u{370}', '\u{37d}'),
        ('\u{37f}', '\u{1fff}'),
        ('\u{200c}', '\u{200d}'),
        ('\u{2070}', '\u{218f}'),
        ('\u{2c00}', '\u{2fef}'),
        ('\u{3001}', '\u{d7ff}'),
        ('\u{f900}', '\u{fdcf}'),
        ('\u{fdf0}', '\u{fffd}'),
        ('\u{10000}', '\u{effff}'),
    ];
    let more = [
        ('-', '.'),
        ('0', '9'),
        ('\u{b7}', '\u{b7}'),
        ('\u{300}', '\u{36f}'),
        ('\u{203f}', '\u{2040}'),
    ];
    let within = |c: char, set: &[(char, char)]| set.iter().any(|(a, b)| (*a..=*b).contains(&c));
    for (first, last) in ranges.into_iter().chain(more) {
        let before = char::from_u32(u32::from(first) - 1);
        let after = char::from_u32(u32::from(last) + 1);
        for c in [before, Some(first), Some(last), after]
            .into_iter()
            .flatten()
        {
            let start = within(c, &ranges);
            assert_eq!(begins(c), start, "{c:?}");
            // These end a name or part it.
            if !matches!(c, '/' | ':' | '@') {
                assert_eq!(goes_on(c), start || within(c, &more), "{c:?}");
            }
        }
    }
}
