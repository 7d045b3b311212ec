//! Everything that an application can call, on values that the compiler cannot know: every command
//! of a client, everything that comes in, and every reader of the wire. With the feature `no-panic`
//! it links only if none of it can lead to a panic. It is there to be linked, not to be run, and is
//! larger than the chip.
//!
//! `Debug` and `Display` are left out: they belong to `core::fmt`, which panics by itself.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::net::SocketAddr;

use oma_im::client::{
    Adopted, Answer, Client, Direction, FlowInfo, OpenFailure, Origin, Output, Refusal,
    SecurityOffer, Verified, route_key,
};
use oma_im::config::{
    Assertion, Config, Core, Credentials, DeliveryReports, DigestFloor, DisplayReports, EndToEnd,
    Gruu, KeepAlive, Nat, NextHop, Release, Strangers, TelTargets, Transport, Watching,
};
use oma_im::id::{ChallengeId, FlowId, IncomingId, OpenId, PathId, SendId};
use oma_im::im::pager::{Anonymity, Outgoing, Wrap};
use oma_im::sip::publication::RefreshForm;
use oma_im::sip::transaction::Timers;
use oma_im::storage::Small;
use oma_im::time::Instant;
use oma_im::wire::cpim::{Cpim, Notifications};
use oma_im::wire::digest::{Acceptable, AuthenticationInfo, Authorization, Challenges, choose};
use oma_im::wire::framer::{Framer, Limits};
use oma_im::wire::header::{self, NameAddr, TokenList, Via};
use oma_im::wire::message::Message;
use oma_im::wire::mime::{Leaves, MediaType, Multipart, Part};
use oma_im::wire::name::Name;
use oma_im::wire::settings::{Dialect, Entities, PocSettings, Settings};
use oma_im::wire::sink::Sink;
use oma_im::wire::uri::Uri;
use oma_im::wire::xml::{Event, Reader};
use oma_im::wire::{datetime, imdn, stun};

/// The same value, of which the compiler knows nothing but its type.
fn any<T>(value: T) -> T {
    black_box(value)
}

/// Takes a value that might be used.
fn see<T>(value: T) {
    drop(black_box(value));
}

/// Bytes of any length and content.
fn bytes() -> &'static [u8] {
    any(b"")
}

/// Text of any length and content.
fn text() -> &'static str {
    any("")
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STORAGE: Small = Small::new();
    commands(STORAGE);
    message(bytes());
    headers(bytes());
    uris(bytes());
    content(bytes());
    challenges(bytes());
    fw::plant();
    fw::exit(0)
}

fn config<'a>(hops: &'a [NextHop<'a>]) -> Config<'a> {
    let ha1 = Credentials::Ha1 {
        user: text(),
        realm: text(),
        ha1: [0; 16],
    };
    Config {
        im_address: any("sip:a@b"),
        next_hops: any(hops),
        credentials: any(ha1),
        realm: any(None),
        digest_floor: any(DigestFloor::Md5),
        display_name: any(None),
        instance: any(None),
        product: text(),
        release: any(Release::Oma1_0),
        feature_tags: text(),
        timers: any(Timers::RFC3261),
        nat: any(Nat::Auto),
        gruu: any(Gruu::On),
        keep_alive: any(KeepAlive::Auto),
        registration_expires: any(3600),
        max_expires: any(0),
        assertion: any(Assertion::Asserted),
        strangers: any(Strangers::Drop),
        tel_targets: any(TelTargets::Refuse),
        end_to_end: any(EndToEnd::Unknown),
        credentials_reserve: any(0),
        path_mtu: any(None),
        stream_buffer: any(0),
        delivery_reports: any(DeliveryReports::OnCommand),
        display_reports: any(DisplayReports::OnCommand),
        reports_per_minute: any(0),
        report_window: any(0),
        report_backoff: any(0),
        answer_timeout: any(0),
        deregister_timeout: any(0),
        core: any(Core::Sip),
        settings_entity: any(None),
        settings_dialect: any(Dialect::RECONSTRUCTED),
        settings_poc: any(PocSettings::UNSAID),
        settings_refresh: any(RefreshForm::Empty),
        watch_registration: any(Watching::Off),
        watch_settings: any(Watching::Off),
        key: any(0),
    }
}

fn commands(storage: &'static mut Small) {
    let hops = any([NextHop {
        host: any("b"),
        port: any(None),
        transport: any(Transport::Udp),
    }]);
    let Ok(mut client) = Client::new(&config(&hops), storage, any([0; 32])) else {
        fw::exit(7)
    };
    let client = &mut client;
    let info = FlowInfo {
        origin: any(Origin::Accepted),
        transport: any(Transport::Udp),
        local: any(SocketAddr::from(([0; 4], 0))),
        remote: any(SocketAddr::from(([0; 4], 0))),
        verified: any(Verified::No),
        direction: any(Direction::Both),
    };
    let message = Outgoing {
        to: text(),
        content_type: text(),
        body: bytes(),
        identity: any(None),
        display_name: any(None),
        anonymity: any(Anonymity::None),
        reports: any(Notifications::NONE),
        wrap: any(Wrap::Plain),
        subject: any(None),
        expires: any(None),
    };
    let adopted = Adopted {
        service_route: text(),
        associated: text(),
    };
    let mut now = any(Instant::ZERO);
    for step in 0..any(32) {
        now = any(now);
        match any(step) {
            0 => see(client.register(now)),
            1 => see(client.deregister(now)),
            2 => see(client.adopt_registration(now, &adopted)),
            3 => see(client.registration_changed(now, &adopted)),
            4 => see(client.registration_lost(now)),
            5 => {
                let answer = any(Answer::Password(bytes()));
                see(client.answer(now, any(ChallengeId(0)), answer));
            }
            6 => see(client.send_message(now, &message)),
            7 => see(client.withdraw(now, any(SendId(0)))),
            8 => {
                let why = any(Refusal::Busy);
                see(client.refuse(now, any(IncomingId(0)), why));
            }
            9 => see(client.delivered(now, any(IncomingId(0)))),
            10 => see(client.displayed(now, any(IncomingId(0)))),
            11 => client.network_changed(now),
            12 => client.timeout(now),
            13 => client.wall_clock(now, any(0)),
            14 => client.flow_opened(now, any(FlowId(0)), any(&info)),
            15 => client.flow_failed(now, any(OpenId(0)), any(OpenFailure::Refused)),
            16 => client.flow_closed(now, any(FlowId(0))),
            17 => see(client.receive(now, any(FlowId(0)), bytes())),
            18 => see((client.is_ready(), client.path() == Some(PathId(0)))),
            19 => see((client.stats(), client.usage(), client.queue(text()))),
            20 => see(route_key(bytes())),
            21 => see(client.publish_settings(now, any(Settings::DEFAULT))),
            22 => see(client.remove_settings(now)),
            23 => see((client.settings(), client.storage())),
            24 => {
                let offer = any(SecurityOffer {
                    spi_c: 0,
                    spi_s: 0,
                    port_c: 0,
                    port_s: 0,
                });
                see(client.security_offer(now, any(PathId(0)), offer));
            }
            25 => see(client.access_network(now, text())),
            _ => {}
        }
        let mut out = [0; 64];
        let len = any(out.len());
        while let Some(out) = out.get_mut(..len) {
            if let Output::TooSmall { .. } | Output::Idle(_) = any(client.poll_output(out)) {
                break;
            }
        }
    }
}

fn message(bytes: &[u8]) {
    see(Message::legible(bytes).is_some());
    let mut framer = Framer::new(any(Limits {
        max_headers: 0,
        max_message: 0,
    }));
    see(framer.next(bytes));
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    see((message.validate(), message.well_formed()));
    see((message.start(), message.body(), message.content_length()));
    see((message.from(), message.to(), message.via()));
    see((message.cseq(), message.call_id(), message.max_forwards()));
    message.contacts().for_each(|contact| see(contact));
    message.vias().for_each(|via| see(via));
    let name = any(Name::To);
    message.values(name).for_each(|value| see(value));
    message.addresses(name).for_each(|one| see(one));
    see((message.header(name), message.other(text())));
}

/// One value as each kind of header.
fn headers(value: &[u8]) {
    macro_rules! read {
        ($($kind:ident)*) => {$(see(header::$kind::parse(value));)*};
    }
    read! {
        Accept AllowEvents CallId Contact ContentId ContentLength ContentType CSeq Date EntityTag
        Event Expires FlowTimer MaxForwards MimeVersion MinExpires MinSe PAccessNetworkInfo Privacy
        RAck Reason Replaces RetryAfter RSeq SecurityMechanism Server SessionExpires
        SubscriptionState TargetDialog UserAgent Warning
    }
    if let Ok(via) = Via::parse(value) {
        see((via.branch(), via.received(), via.rport(), via.keep()));
        via.params.for_each(|param| see(param));
    }
    if let Ok(address) = NameAddr::parse(value) {
        see((address.tag(), address.expires(), address.uri()));
        address
            .params
            .for_each(|param| see(param.unquoted().count()));
    }
    if let Ok(list) = TokenList::parse(value) {
        see(list);
    }
}

fn uris(bytes: &[u8]) {
    let (Ok(one), Ok(other)) = (Uri::parse(bytes), Uri::parse(any(bytes))) else {
        return;
    };
    see((one.user(), one.password(), one.host(), one.port()));
    see((one.params().count(), one.headers().count()));
    see(one.equivalent(&other));
    if let Uri::Tel(tel) = &one {
        let mut out = [0; 64];
        see(tel.to_sip(any(bytes), any(&mut out)));
    }
}

fn content(bytes: &[u8]) {
    let mut room = [0; 64];
    let room: &mut [u8] = any(&mut room);
    if let Ok(cpim) = Cpim::parse(bytes) {
        see((cpim.validate(), cpim.from(), cpim.datetime()));
        see((cpim.message_id(), cpim.notifications(), cpim.original_to()));
        see((cpim.required().count(), cpim.routes().count()));
        if let Some(subject) = cpim.subject() {
            see((subject.language(), subject.value.read_into(room)));
        }
    }
    if let Ok(report) = imdn::Imdn::parse(bytes) {
        see((report.validate(), report.message_id.read_into(room)));
    }
    if let Ok(mut xml) = Reader::new(bytes) {
        while let Ok(event) = xml.read() {
            match event {
                Event::Start(start) => see(start.attribute(text(), text())),
                Event::Text(text) => see(text.read_into(room)),
                Event::End(_) => {}
                Event::Eof => break,
            }
        }
    }
    if let Ok(entities) = Entities::new(bytes, Dialect::RECONSTRUCTED) {
        entities.for_each(|entity| see(entity));
    }
    see(Part::parse(bytes));
    if let Ok(media) = MediaType::parse(bytes) {
        see((media.is_utf8_text(), media.param(text())));
        see(imdn::reports(media, any(bytes)).count());
        see(Leaves::of(media, any(bytes)).count());
        see(Multipart::of(media, any(bytes)).is_ok_and(|parts| parts.count() > 0));
    }
    see(stun::Response::parse(bytes));
    see(datetime::parse(text()));
    let mut sink = Sink::new(room);
    datetime::put(&mut sink, any(0));
    datetime::put_sip(&mut sink, any(0));
}

fn challenges(value: &[u8]) {
    see(Authorization::parse(value));
    see(AuthenticationInfo::parse(value));
    see(choose(Challenges::new(value), any(Acceptable::PASSWORD)));
}
