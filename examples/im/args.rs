//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use oma_im::config::{Transport, Watching};

use super::card::Card;
use super::session::{Originator, Reports, Until};
use super::settings::Wish;

pub(crate) const USAGE: &str = "\
im: pager mode messages over SIP

    im                       a server and two users on loopback, with the ladder of what they say
    im --transport tls       the same, both users over that transport
    im --server HOST:PORT --user U --password P [...]
                             one user of any SIP server

  where it registers
    --server HOST[:PORT]     the server or its outbound proxy (port: 5060, 5061 under TLS)
    --transport udp|tcp|tls  default udp
    --ca FILE                PEM: the authorities, or the server's own certificate; needed for tls
    --bind IP[:PORT]         the local address (the port for UDP only)
  as whom
    --user U                 user part of the address
    --password P             or the variable IM_PASSWORD
    --domain D               domain of the address (default: the host of --server)
    --auth-user NAME         user name of the credentials (default: that of --user, with --card U@D)
    --instance URN           the device, urn:uuid:...: makes it an outbound registration (RFC 5626)
    --from-only              the server asserts no identities (RFC 3325): From is believed
    --card WORDS             an IMS core (--transport udp): what the SIM card says to its challenges in turn, in
                             hex, with commas: res:RES, res:RES:IK:CK, auts:AUTS, mac-wrong. For tests: the card
                             computes nothing, and there is no IPsec, only its ports
  what it does
    --to URI                 where texts go
    --text TEXT              sends this, then ends
    --wait-report            and fails without a delivery report within 10 s
    --no-report              asks for no delivery report
    --anonymous              does not tell who sends (and cannot ask for reports)
    --settings WORDS         publishes settings of the service and tells what is in effect: default, remove,
                             or with commas no-sessions, no-messages, invisible, fetch, keep-sessions,
                             keep-messages, no-files; they outlive the program until their time is over
    --watch-registration     subscribes to the own registration (RFC 3680) and tells how that goes
    --watch-settings         the same for settings that other devices publish (RFC 4354 5.11)
    --listen SECONDS         stays registered so long, then ends
    without --text, --settings and --listen: lines of standard input, until its end:
      send URI TEXT | TEXT (for the last URI) | settings WORDS | quit | network (has changed)
  how it tells
    --json                   one JSON object a line
    --pcap FILE              a capture of what was said (TLS in clear)

Ctrl-C takes the registration back and ends. Exit status 0: all was done; 1: something failed;
2: the command line is wrong.
";

/// What the program shall do.
pub(crate) enum Job {
    Help,
    /// The scene of `demo`.
    Demo {
        transports: [Transport; 2],
        pcap: Option<PathBuf>,
    },
    /// One user.
    User(Box<Options>),
}

pub(crate) struct Options {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) transport: Transport,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) bind: Option<SocketAddr>,
    pub(crate) im_address: String,
    pub(crate) auth_user: String,
    pub(crate) password: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) asserted: bool,
    pub(crate) card: Option<Card>,
    pub(crate) watch_registration: Watching,
    pub(crate) watch_settings: Watching,
    pub(crate) to: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) settings: Option<Wish>,
    pub(crate) reports: Reports,
    pub(crate) from: Originator,
    pub(crate) until: Until,
    pub(crate) json: bool,
    pub(crate) pcap: Option<PathBuf>,
}

impl Job {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn read(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut given = Given::default();
        let mut args = args.map(|arg| match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                (name.to_owned(), Some(value.to_owned()))
            }
            _ => (arg, None),
        });
        while let Some((name, value)) = args.next() {
            if matches!(name.as_str(), "--help" | "-h") {
                return Ok(Self::Help);
            }
            if let Some(switch) = given.switch(&name) {
                if value.is_some() {
                    return Err(format!("{name} takes no value"));
                }
                *switch = true;
                continue;
            }
            let place = given
                .place(&name)
                .ok_or_else(|| format!("unknown: {name}"))?;
            // The value may look like anything, as a password or a text does.
            let next = || {
                args.next().map(|(name, value)| match value {
                    Some(value) => format!("{name}={value}"),
                    None => name,
                })
            };
            let value = value.or_else(next);
            *place = Some(value.ok_or_else(|| format!("{name} needs a value"))?);
        }
        given.job()
    }
}

#[derive(Default)]
struct Given {
    values: [Option<String>; VALUES.len()],
    switches: [bool; SWITCHES.len()],
}

const VALUES: [&str; 15] = [
    "--server",
    "--transport",
    "--ca",
    "--bind",
    "--user",
    "--password",
    "--domain",
    "--auth-user",
    "--instance",
    "--card",
    "--to",
    "--text",
    "--settings",
    "--listen",
    "--pcap",
];
const SWITCHES: [&str; 7] = [
    "--from-only",
    "--wait-report",
    "--no-report",
    "--anonymous",
    "--watch-registration",
    "--watch-settings",
    "--json",
];

impl Given {
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        let at = VALUES.iter().position(|known| *known == name)?;
        self.values.get_mut(at)
    }

    fn switch(&mut self, name: &str) -> Option<&mut bool> {
        let at = SWITCHES.iter().position(|known| *known == name)?;
        self.switches.get_mut(at)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.place(name)?.take()
    }

    fn is_on(&mut self, name: &str) -> bool {
        self.switch(name).is_some_and(|on| *on)
    }

    fn watching(&mut self, name: &str) -> Watching {
        if self.is_on(name) {
            Watching::On
        } else {
            Watching::Off
        }
    }

    fn job(mut self) -> Result<Job, String> {
        let transport = match self.take("--transport").as_deref() {
            None => None,
            Some("udp") => Some(Transport::Udp),
            Some("tcp") => Some(Transport::Tcp),
            Some("tls") => Some(Transport::Tls),
            Some(other) => return Err(format!("--transport {other}: it is udp, tcp or tls")),
        };
        let pcap = self.take("--pcap").map(PathBuf::from);
        let Some(server) = self.take("--server") else {
            if self.values.iter().any(Option::is_some) || self.switches.contains(&true) {
                return Err("--server is missing".into());
            }
            return Ok(Job::Demo {
                transports: transport.map_or([Transport::Udp, Transport::Tcp], |one| [one; 2]),
                pcap,
            });
        };
        let transport = transport.unwrap_or(Transport::Udp);
        let (host, port) = host_port(&server)?;
        let user = self.take("--user").ok_or("--user is missing")?;
        let domain = self.take("--domain").unwrap_or_else(|| host.clone());
        let ca = self.take("--ca").map(PathBuf::from);
        if transport == Transport::Tls && ca.is_none() {
            return Err("--transport tls needs --ca: nobody is trusted without".into());
        }
        let bind = self.take("--bind").map(|bind| address(&bind)).transpose()?;
        let (to, text) = (self.take("--to"), self.take("--text"));
        if text.is_some() && to.is_none() {
            return Err("--text needs --to".into());
        }
        let settings = self.take("--settings");
        let settings = settings.map(|words| Wish::read(&words)).transpose()?;
        let listen = self.take("--listen").map(|seconds| {
            let seconds = seconds.parse().ok();
            let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            seconds.ok_or("--listen takes seconds")
        });
        let card = self.take("--card").map(|words| Card::read(&words));
        let card = card.transpose()?;
        if card.is_some() && transport != Transport::Udp {
            return Err("--card needs --transport udp".into());
        }
        let private = match card {
            Some(_) => format!("{user}@{domain}"),
            None => user.clone(),
        };
        let from = if self.is_on("--anonymous") {
            Originator::Anonymous
        } else {
            Originator::Named
        };
        let reports = match (self.is_on("--wait-report"), self.is_on("--no-report")) {
            (true, true) => return Err("--wait-report or --no-report?".into()),
            (true, false) if from == Originator::Anonymous => {
                return Err("--anonymous: there are no reports to an anonymous sender".into());
            }
            (true, false) => Reports::Awaited,
            (false, true) => Reports::NotAsked,
            (false, false) => Reports::Asked,
        };
        Ok(Job::User(Box::new(Options {
            im_address: format!("sip:{user}@{domain}"),
            auth_user: self.take("--auth-user").unwrap_or(private),
            password: self
                .take("--password")
                .or_else(|| std::env::var("IM_PASSWORD").ok()),
            host,
            port,
            transport,
            ca,
            bind,
            instance: self.take("--instance"),
            asserted: !self.is_on("--from-only"),
            card,
            watch_registration: self.watching("--watch-registration"),
            watch_settings: self.watching("--watch-settings"),
            until: match listen.transpose()? {
                Some(time) => Until::Elapsed(time),
                None if text.is_some() || settings.is_some() => Until::Sent,
                None => Until::Told,
            },
            to,
            text,
            settings,
            reports,
            from,
            json: self.is_on("--json"),
            pcap,
        })))
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port = port.parse().ok().filter(|port| *port != 0);
            (host, Some(port.ok_or_else(|| format!("{text}: no port"))?))
        }
        _ => (text, None),
    };
    if host.is_empty() {
        return Err(format!("{text}: no host"));
    }
    Ok((host.into(), port))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, 0)))
        .map_err(|_| format!("--bind {text}: it is IP or IP:PORT"))
}
