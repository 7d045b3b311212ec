//! A stand-in for the SIM card and the IPsec of a phone, to try the client against a core that asks
//! for AKA.
//!
//! The card computes nothing: it says what the command line gives, one thing for each challenge, the
//! last one for ever. There is no IPsec either: flows lead from and to the ports that were agreed
//! on, so that the two sides tell their messages apart as they would, but all that goes over them is
//! plain. The peer has to be a test's.

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;

use oma_im::client::{Answer, SecurityOffer};

/// What the card says to a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Says {
    /// RES, and IK and CK if they were given.
    Res(Vec<u8>, Option<([u8; 16], [u8; 16])>),
    /// AUTS: its sequence number is another one.
    Auts([u8; 14]),
    /// The challenge is not from its network.
    MacWrong,
}

/// A card that says what it was told to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Card {
    says: VecDeque<Says>,
}

impl Card {
    /// `res:RES`, `res:RES:IK:CK`, `auts:AUTS` and `mac-wrong` with commas between them, all in hex.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let says: Option<_> = text.split(',').map(Says::read).collect();
        let says = says.ok_or_else(|| {
            format!("--card {text}: it is res:HEX, res:HEX:IK:CK, auts:HEX or mac-wrong")
        })?;
        Ok(Self { says })
    }

    /// Answers a challenge by `give`.
    pub(crate) fn ask<T>(&mut self, give: impl FnOnce(Answer<'_>) -> T) -> T {
        let last = self.says.len() == 1;
        let says = if last {
            self.says.front().cloned()
        } else {
            self.says.pop_front()
        };
        give(match &says {
            Some(Says::Res(res, None)) => Answer::Res(res),
            Some(Says::Res(res, Some((ik, ck)))) => Answer::ResIkCk {
                res,
                ik: *ik,
                ck: *ck,
            },
            Some(Says::Auts(auts)) => Answer::Auts(*auts),
            Some(Says::MacWrong) => Answer::MacWrong,
            None => Answer::Abandon,
        })
    }
}

impl Says {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.trim().split(':');
        let word = parts.next()?;
        let values: Option<Vec<Vec<u8>>> = parts.map(hex).collect();
        match (word, values?.as_slice()) {
            ("res", [res]) => Some(Self::Res(res.clone(), None)),
            ("res", [res, ik, ck]) => {
                let keys = (array(ik)?, array(ck)?);
                Some(Self::Res(res.clone(), Some(keys)))
            }
            ("auts", [auts]) => Some(Self::Auts(array(auts)?)),
            ("mac-wrong", []) => Some(Self::MacWrong),
            _ => None,
        }
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|value| value as u8))
        .collect();
    let pairs = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(pairs.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Sets numbers aside for security associations that nobody installs.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    last: Option<SecurityOffer>,
}

impl Offers {
    /// The next ones: the same port-s and all else new, as long as the program runs.
    ///
    /// # Errors
    /// The operating system has no free port.
    pub(crate) fn next(&mut self) -> io::Result<SecurityOffer> {
        let spi = self.last.map_or(4_096, |last| last.spi_s + 1);
        let port_s = match self.last {
            Some(last) => last.port_s,
            None => free_port()?,
        };
        let port_c = loop {
            let port = free_port()?;
            let taken = |last: SecurityOffer| port == last.port_c;
            if port != port_s && !self.last.is_some_and(taken) {
                break port;
            }
        };
        let offer = SecurityOffer {
            spi_c: spi,
            spi_s: spi + 1,
            port_c,
            port_s,
        };
        self.last = Some(offer);
        Ok(offer)
    }
}

/// A port that is free now; a phone would keep it.
fn free_port() -> io::Result<u16> {
    Ok(UdpSocket::bind(("0.0.0.0", 0))?.local_addr()?.port())
}
