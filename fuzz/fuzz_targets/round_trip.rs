//! Whatever values the writer takes, the message that it writes is one message, valid, and holds them.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use oma_im::wire::message::Message;
use oma_im::wire::name::{Method, Name};
use oma_im::wire::sink::TooSmall;
use oma_im::wire::writer::{
    Branch, CSeq, CallId, MessageWriter, NameAddr, Param, Quoted, SentBy, Text, TextError, Token,
    UriText, Via,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    uri: &'a [u8],
    display: &'a str,
    token: &'a [u8],
    quoted: &'a str,
    call_id: &'a [u8],
    text: &'a str,
    random: u64,
    number: u32,
    body: &'a [u8],
}

struct Checked<'a> {
    uri: UriText<'a>,
    display: Quoted<'a>,
    token: Token<'a>,
    quoted: Quoted<'a>,
    call_id: CallId<'a>,
    text: Text<'a>,
}

impl<'a> Checked<'a> {
    fn new(input: &Input<'a>) -> Result<Self, TextError> {
        Ok(Self {
            uri: UriText::new(input.uri)?,
            display: Quoted::new(input.display)?,
            token: Token::new(input.token)?,
            quoted: Quoted::new(input.quoted)?,
            call_id: CallId::new(input.call_id)?,
            text: Text::new(input.text)?,
        })
    }
}

fuzz_target!(|input: Input<'_>| {
    let Ok(checked) = Checked::new(&input) else {
        return;
    };
    let Err(TooSmall { needed }) = write(&mut [], &input, &checked) else {
        panic!("it fits into nothing");
    };
    let mut out = vec![0; needed];
    assert_eq!(
        write(&mut out[..needed - 1], &input, &checked),
        Err(TooSmall { needed })
    );
    assert_eq!(write(&mut out, &input, &checked), Ok(needed));

    // A URI may be fit for its place and still not be one of its scheme; that is the reader's to say.
    let message = match Message::parse(&out) {
        Ok(message) => message,
        Err(error) => panic!("{error}: {}", out.escape_ascii()),
    };
    assert_eq!(message.headers().count(), 10);
    assert_eq!(message.request().unwrap().uri, input.uri);
    assert_eq!(message.body(), input.body);
    assert_eq!(message.head_len() + message.body().len(), needed);
    assert_eq!(message.call_id().unwrap(), input.call_id);
    assert_eq!(message.cseq().unwrap().number, input.number & 0x7fff_ffff);
    assert!(
        message
            .via()
            .unwrap()
            .branch()
            .unwrap()
            .starts_with(b"z9hG4bK")
    );
    let from = message.from().unwrap();
    assert_eq!(from.uri, input.uri);
    assert_eq!(from.tag(), Some(input.token));
    let read: Vec<u8> = from.params.into_iter().last().unwrap().unquoted().collect();
    assert_eq!(read, input.quoted.as_bytes());
    let display = from
        .display
        .map(|display| display.bytes().collect::<Vec<u8>>());
    assert_eq!(display.unwrap_or_default(), input.display.as_bytes());
    let subject = message.header(Name::Subject).unwrap();
    assert_eq!(subject, input.text.trim_matches([' ', '\t']).as_bytes());
});

fn write(out: &mut [u8], input: &Input<'_>, checked: &Checked<'_>) -> Result<usize, TooSmall> {
    let name = Token::new("x").unwrap();
    let params = [
        Param::tag(checked.token),
        Param::Quoted(name, checked.quoted),
    ];
    let mut w = MessageWriter::request(out, Method::Message, checked.uri);
    w.header(
        Name::Via,
        Via {
            transport: Token::new("UDP").unwrap(),
            sent_by: SentBy::from(std::net::SocketAddr::from(([192, 0, 2, 1], 5060))),
            branch: Branch::New(input.random),
            params: &[],
        },
    );
    w.header(Name::MaxForwards, 70);
    w.header(
        Name::From,
        NameAddr::new(checked.uri)
            .display(checked.display)
            .params(&params),
    );
    w.header(Name::To, NameAddr::new(checked.uri));
    w.header(Name::CallId, checked.call_id);
    w.header(
        Name::CSeq,
        CSeq {
            number: input.number & 0x7fff_ffff,
            method: Method::Message,
        },
    );
    w.header(Name::Subject, checked.text);
    // A name that no header of the table has: what stands behind those is checked by their types.
    let other = [b"x-".as_slice(), input.token].concat();
    w.other(Token::new(&other).unwrap(), checked.text);
    w.body(Text::new("text/plain").unwrap(), input.body)
        .finish()
}
