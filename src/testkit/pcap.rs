//! The log as a capture file that Wireshark opens.
//!
//! Classic pcap, little-endian, link type 101 (raw IP): an IPv4 or IPv6 header, then UDP or TCP with right lengths and
//! checksums. The capture is the one a sniffer beside each sender would take: a packet stands in it at the time it was sent, whether it
//! arrived or not; copies that the network made do not.
//!
//! Each write on a stream is a TCP segment of its own (cut at 60,000 bytes), with handshake and sequence numbers, so
//! that Wireshark follows the stream. TLS is written as the bytes inside it; so that they are not taken for TLS records,
//! port 5061 becomes 5060 there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::prelude::rust_2024::*;

use super::log::{ConnId, ConnectionEvent, Entry, Log, Origin, Packet, Transport, What};

/// The calendar time that the file gives to the origin of the virtual clock: 1 January 2026, 00:00 UTC.
pub const ORIGIN_UNIX_SECONDS: u64 = 1_767_225_600;
/// Most bytes of one segment: a packet's length field has 16 bits.
const SEGMENT: usize = 60_000;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// The bytes of the capture file.
pub fn pcap(log: &Log) -> Vec<u8> {
    let mut capture = Capture::new();
    for Entry { at, what } in log.entries() {
        capture.micros = capture.micros.max(at.as_millis() * 1000);
        match what {
            What::Packet(Packet {
                origin: Origin::Duplicate,
                ..
            }) => {}
            What::Packet(packet) => match (packet.transport, packet.conn) {
                (Transport::Udp, _) => capture.datagram(packet.from, packet.to, &packet.bytes),
                (transport, conn) => {
                    let ends = (plain(packet.from, transport), plain(packet.to, transport));
                    capture.write(conn, ends.0, ends.1, &packet.bytes);
                }
            },
            What::Connection {
                conn,
                transport,
                from,
                to,
                event,
                ..
            } => {
                capture.connection(conn, plain(from, transport), plain(to, transport), event);
            }
            What::Note { .. } => {}
        }
    }
    capture.out
}

fn plain(mut at: SocketAddr, transport: Transport) -> SocketAddr {
    if transport == Transport::Tls && at.port() == 5061 {
        at.set_port(5060);
    }
    at
}

struct Capture {
    out: Vec<u8>,
    micros: u64,
    ident: u16,
    streams: BTreeMap<ConnId, Stream>,
    /// Connections that are over: what is written on one all the same leaves no segment.
    ended: BTreeSet<ConnId>,
}

/// The next sequence number of each end.
struct Stream {
    client: SocketAddr,
    server: SocketAddr,
    client_next: u32,
    server_next: u32,
}

impl Capture {
    fn new() -> Self {
        let mut out = Vec::new();
        out.extend_from_slice(&0xA1B2_C3D4u32.to_le_bytes());
        out.extend_from_slice(&2u16.to_le_bytes());
        out.extend_from_slice(&4u16.to_le_bytes());
        // Time zone, accuracy, longest packet, link type.
        for field in [0u32, 0, 262_144, 101] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        Self {
            out,
            micros: 0,
            ident: 0,
            streams: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    fn datagram(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let len = (bytes.len() + 8) as u16;
        let mut udp = Vec::new();
        for field in [from.port(), to.port(), len, 0] {
            udp.extend_from_slice(&field.to_be_bytes());
        }
        udp.extend_from_slice(bytes);
        let sum = match checksum(&[&pseudo_header(from.ip(), to.ip(), 17, udp.len()), &udp]) {
            // RFC 768: all zeros would mean that there is none.
            0 => 0xFFFF,
            sum => sum,
        };
        udp[6..8].copy_from_slice(&sum.to_be_bytes());
        self.packet(from.ip(), to.ip(), 17, &udp);
    }

    fn connection(
        &mut self,
        conn: ConnId,
        from: SocketAddr,
        to: SocketAddr,
        event: ConnectionEvent,
    ) {
        match event {
            ConnectionEvent::Opened => self.open(conn, from, to),
            ConnectionEvent::Refused => {
                self.segment(from, to, (0, 0), SYN, &[]);
                self.segment(to, from, (0, 1), RST | ACK, &[]);
            }
            ConnectionEvent::Failed => self.segment(from, to, (0, 0), SYN, &[]),
            ConnectionEvent::Closed => self.end(conn, FIN | ACK),
            ConnectionEvent::Reset => self.end(conn, RST | ACK),
            ConnectionEvent::Silent => {}
        }
    }

    /// The handshake, unless it has been: bytes may be written before the log says that the connection is open.
    fn open(&mut self, conn: ConnId, client: SocketAddr, server: SocketAddr) {
        if self.streams.contains_key(&conn) {
            return;
        }
        self.segment(client, server, (0, 0), SYN, &[]);
        self.segment(server, client, (0, 1), SYN | ACK, &[]);
        self.segment(client, server, (1, 1), ACK, &[]);
        self.streams.insert(
            conn,
            Stream {
                client,
                server,
                client_next: 1,
                server_next: 1,
            },
        );
    }

    fn write(&mut self, conn: Option<ConnId>, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let conn = conn.unwrap_or(ConnId(u32::MAX));
        if self.ended.contains(&conn) {
            return;
        }
        if !self.streams.contains_key(&conn) {
            self.open(conn, from, to);
        }
        for piece in bytes.chunks(SEGMENT) {
            let Some(stream) = self.streams.get_mut(&conn) else {
                return;
            };
            let (mine, theirs) = if stream.client == from {
                (&mut stream.client_next, stream.server_next)
            } else {
                (&mut stream.server_next, stream.client_next)
            };
            let seq = *mine;
            *mine = seq.wrapping_add(piece.len() as u32);
            self.segment(from, to, (seq, theirs), PSH | ACK, piece);
        }
    }

    fn end(&mut self, conn: ConnId, flags: u8) {
        self.ended.insert(conn);
        if let Some(Stream {
            client,
            server,
            client_next,
            server_next,
        }) = self.streams.remove(&conn)
        {
            self.segment(client, server, (client_next, server_next), flags, &[]);
            if flags & FIN != 0 {
                self.segment(
                    server,
                    client,
                    (server_next, client_next.wrapping_add(1)),
                    flags,
                    &[],
                );
                let last = (client_next.wrapping_add(1), server_next.wrapping_add(1));
                self.segment(client, server, last, ACK, &[]);
            }
        }
    }

    fn segment(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        (seq, ack): (u32, u32),
        flags: u8,
        bytes: &[u8],
    ) {
        // Window scaling, so that a one-sided stream does not seem to overrun its receiver (RFC 7323 §2).
        let options: &[u8] = if flags & SYN != 0 {
            &[3, 3, 14, 0]
        } else {
            &[]
        };
        let mut tcp = Vec::new();
        tcp.extend_from_slice(&from.port().to_be_bytes());
        tcp.extend_from_slice(&to.port().to_be_bytes());
        tcp.extend_from_slice(&seq.to_be_bytes());
        tcp.extend_from_slice(&ack.to_be_bytes());
        tcp.push(((20 + options.len()) as u8 / 4) << 4);
        tcp.push(flags);
        // Window, checksum, urgent pointer.
        tcp.extend_from_slice(&[0xFF, 0xFF, 0, 0, 0, 0]);
        tcp.extend_from_slice(options);
        tcp.extend_from_slice(bytes);
        let sum = checksum(&[&pseudo_header(from.ip(), to.ip(), 6, tcp.len()), &tcp]);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        self.packet(from.ip(), to.ip(), 6, &tcp);
    }

    fn packet(&mut self, from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) {
        let mut ip = Vec::new();
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                self.ident = self.ident.wrapping_add(1);
                ip.extend_from_slice(&[0x45, 0]);
                ip.extend_from_slice(&((payload.len() + 20) as u16).to_be_bytes());
                ip.extend_from_slice(&self.ident.to_be_bytes());
                ip.extend_from_slice(&[0, 0, 64, protocol, 0, 0]);
                ip.extend_from_slice(&from.octets());
                ip.extend_from_slice(&to.octets());
                let sum = checksum(&[&ip]);
                ip[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            (from, to) => {
                ip.extend_from_slice(&[0x60, 0, 0, 0]);
                ip.extend_from_slice(&(payload.len() as u16).to_be_bytes());
                ip.extend_from_slice(&[protocol, 64]);
                ip.extend_from_slice(&v6(from));
                ip.extend_from_slice(&v6(to));
            }
        }
        ip.extend_from_slice(payload);
        let seconds = (ORIGIN_UNIX_SECONDS + self.micros / 1_000_000) as u32;
        for field in [
            seconds,
            (self.micros % 1_000_000) as u32,
            ip.len() as u32,
            ip.len() as u32,
        ] {
            self.out.extend_from_slice(&field.to_le_bytes());
        }
        self.out.extend_from_slice(&ip);
        // Steps of one exchange keep their order in programs that sort by time.
        self.micros += 1;
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn pseudo_header(from: IpAddr, to: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = [from.octets(), to.octets()].concat();
            header.extend_from_slice(&[0, protocol]);
            header.extend_from_slice(&(len as u16).to_be_bytes());
            header
        }
        (from, to) => {
            let mut header = [v6(from), v6(to)].concat();
            header.extend_from_slice(&(len as u32).to_be_bytes());
            header.extend_from_slice(&[0, 0, 0, protocol]);
            header
        }
    }
}

/// The Internet checksum (RFC 1071) of the parts as one run of bytes; all but the last part have even lengths.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]));
        }
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}
