//! Pager mode: the MESSAGE request of OMA IM 8.1.1, and the reports on one (RFC 5438).
//!
//! [`message`] writes a request as it is kept: everything but what each hop and attempt adds (see
//! `sip::draft`). The steps of 8.1.1 are cited where they are done. [`report`] writes the request
//! that carries a disposition notification, from the ticket that was kept of the message it is
//! about; [`ticket`] writes that ticket.

use crate::im::tags;
use crate::sip::draft::{Cuts, DraftWriter};
use crate::wire::cpim::{self, CpimWriter};
use crate::wire::imdn;
use crate::wire::name::{Method, Name};
use crate::wire::sink::{Sink, TooSmall};
use crate::wire::writer::{CallId, NameAddr, Param, Quoted, Raw, Text, Token, UriText};
