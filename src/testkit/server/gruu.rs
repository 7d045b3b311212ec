//! The GRUUs of a registrar (RFC 5627 §5): a public one for each instance, and a temporary one for
//! each REGISTER.

use std::format;
use std::prelude::rust_2024::*;

use super::hop::{SipUri, sip_uri};
use super::registrar::Binding;
use super::{Feature, ImServer};

/// A temporary GRUU. It is good while its instance is bound and registers with one Call-ID.
#[derive(Clone, Debug)]
pub(super) struct TemporaryGruu {
    /// The user part of the URI.
    token: String,
    user: String,
    instance: String,
    /// CSeq of the REGISTER that it came of.
    cseq: u32,
}

impl TemporaryGruu {
    fn is_of(&self, user: &str, instance: &str) -> bool {
        self.user == user && self.instance == instance
    }
}

impl ImServer {
    /// The public GRUU that an instance has for an identity, a SIP URI without parameters.
    pub(super) fn public_gruu(identity: &str, instance: &str) -> String {
        format!("{identity};gr={instance}")
    }

    /// The identity that a user registers.
    pub(super) fn registered_identity(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.config.domain)
    }

    /// A REGISTER bound this; `known` is the binding before.
    pub(super) fn give_temporary_gruu(&mut self, binding: &Binding, known: Option<&Binding>) {
        let Some(instance) = &binding.instance else {
            return;
        };
        let others = self.bindings.iter().any(|other| {
            other.user == binding.user
                && other.instance == binding.instance
                && other.reg_id != binding.reg_id
        });
        let goes_on = match known {
            Some(known) => known.call_id == binding.call_id,
            None => others,
        };
        if !goes_on {
            // RFC 5627 §5.1, §5.3.
            self.temporary_gruus
                .retain(|gruu| !gruu.is_of(&binding.user, instance));
        }
        if self.config.temporary_gruu == Feature::Off {
            return;
        }
        self.temporary_gruus.push(TemporaryGruu {
            token: format!("tgruu.{}", self.rng.hex()),
            user: binding.user.clone(),
            instance: instance.clone(),
            cseq: binding.cseq,
        });
    }

    /// The newest temporary GRUU of an instance, and the CSeq of the oldest (RFC 5628 §5).
    pub(super) fn temporary_gruu(&self, user: &str, instance: &str) -> Option<(String, u32)> {
        if self.config.temporary_gruu == Feature::Off {
            return None;
        }
        let mut all = self
            .temporary_gruus
            .iter()
            .filter(|gruu| gruu.is_of(user, instance));
        let oldest = all.next()?;
        let newest = all.next_back().unwrap_or(oldest);
        let uri = format!("sip:{}@{};gr", newest.token, self.config.domain);
        Some((uri, oldest.cseq))
    }

    /// The user of a temporary GRUU that is good.
    pub(super) fn user_of_gruu(&self, uri: &SipUri) -> Option<String> {
        self.temporary_of(uri).map(|gruu| gruu.user.clone())
    }

    /// The instance that a GRUU leads to; `None` for another URI.
    pub(super) fn instance_of_gruu(&self, uri: &str) -> Option<String> {
        let uri = sip_uri(uri)?;
        match uri.param("gr") {
            Some(instance) => Some(instance.into()),
            None => self.temporary_of(&uri).map(|gruu| gruu.instance.clone()),
        }
    }

    fn temporary_of(&self, uri: &SipUri) -> Option<&TemporaryGruu> {
        let bound = |gruu: &TemporaryGruu| {
            self.bindings.iter().any(|binding| {
                binding
                    .instance
                    .as_deref()
                    .is_some_and(|of| gruu.is_of(&binding.user, of))
            })
        };
        self.temporary_gruus
            .iter()
            .find(|gruu| gruu.token == uri.user && uri.has_param("gr") && bound(gruu))
    }
}
