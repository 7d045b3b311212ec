//! The run loop: what an integrator writes around a [`Client`].
//!
//! There are three calls in it. [`Driver::command`] does what the user wants; [`Driver::turn`] waits
//! for the network or for the clock and tells the client about it; both end in `drain`, which does
//! what the client wants until it says `Idle` and names its next deadline. Sockets are behind
//! [`Sockets`]; what to do about events and messages is the business of an [`App`].

use std::io;
use std::time::Duration;

use oma_im::client::{Client, Deadline, Event, IncomingMessage, Item, Output};
use oma_im::id::FlowId;
use oma_im::storage::Storage;
use oma_im::time::Instant;

use super::clock::Clock;
use super::sockets::{Arrived, News, Sockets};

/// What stands above the client.
pub(crate) trait App {
    /// Something happened.
    fn event(&mut self, now: Instant, event: Event<'_>);
    /// A message came in; it is answered with 200 when this returns.
    fn message(&mut self, now: Instant, message: &IncomingMessage<'_>);
}

/// A client with its sockets and its clock.
pub(crate) struct Driver<S> {
    client: Client<S>,
    sockets: Sockets,
    clock: Clock,
    deadline: Option<Deadline>,
    out: Vec<u8>,
}

impl<S: Storage> Driver<S> {
    pub(crate) fn new(client: Client<S>, sockets: Sockets, clock: Clock) -> Self {
        Self {
            client,
            sockets,
            clock,
            deadline: None,
            out: vec![0; 1500],
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// One command of the user's, then a drain.
    pub(crate) fn command<T>(
        &mut self,
        app: &mut impl App,
        command: impl FnOnce(&mut Client<S>, Instant) -> T,
    ) -> T {
        let now = self.clock.now();
        let result = command(&mut self.client, now);
        self.drain(app);
        result
    }

    /// Waits for the network, for the client's deadline, or for `at_most`, whichever is first; tells
    /// the client what happened, one thing after the other, each with a drain.
    ///
    /// # Errors
    /// The operating system cannot wait any more.
    pub(crate) fn turn(&mut self, app: &mut impl App, at_most: Duration) -> io::Result<()> {
        let wait = match self.deadline {
            Some(deadline) => at_most.min(self.clock.until(deadline.at)),
            None => at_most,
        };
        for news in self.sockets.wait(wait)? {
            let now = self.clock.now();
            match news {
                News::Opened(flow, info) => self.client.flow_opened(now, flow, &info),
                News::NotOpened(open, why) => self.client.flow_failed(now, open, why),
                News::Readable(flow) => self.read(app, flow),
            }
            self.drain(app);
        }
        let now = self.clock.now();
        if self.deadline.is_some_and(|deadline| deadline.at <= now) {
            self.client.timeout(now);
            self.drain(app);
        }
        Ok(())
    }

    /// Closes all flows, each TLS stream in order.
    pub(crate) fn close(mut self) {
        self.sockets.close_all();
    }

    /// Does what the client wants until it is idle.
    fn drain(&mut self, app: &mut impl App) {
        loop {
            let now = self.clock.now();
            match self.client.poll_output(&mut self.out) {
                Output::Transmit { flow, bytes } => {
                    if self.sockets.send(now, flow, bytes).is_err() {
                        self.sockets.close(flow);
                        self.client.flow_closed(now, flow);
                    }
                }
                Output::Open(open) => {
                    let id = open.id;
                    match self.sockets.open(now, &open) {
                        // A datagram flow is open at once, the others tell it later.
                        Ok(Some((flow, info))) => self.client.flow_opened(now, flow, &info),
                        Ok(None) => {}
                        Err(why) => self.client.flow_failed(now, id, why),
                    }
                }
                Output::Close { flow, .. } => self.sockets.close(flow),
                Output::Event(event) => app.event(now, event),
                Output::TooSmall { needed } => self.out.resize(needed, 0),
                Output::Idle(deadline) => {
                    self.deadline = deadline;
                    break;
                }
            }
        }
    }

    /// Reads what has arrived on a flow, and says when it is closed.
    fn read(&mut self, app: &mut impl App, flow: FlowId) {
        loop {
            match self.sockets.read(flow) {
                Arrived::Bytes => self.present(app, flow),
                Arrived::Nothing => break,
                Arrived::End => {
                    self.sockets.close(flow);
                    self.client.flow_closed(self.clock.now(), flow);
                    self.drain(app);
                    break;
                }
            }
        }
    }

    /// Presents the bytes that were read, again and again until they are consumed or more are needed.
    fn present(&mut self, app: &mut impl App, flow: FlowId) {
        loop {
            let now = self.clock.now();
            // Empty once the client has closed the flow.
            let bytes = self.sockets.unread(flow);
            if bytes.is_empty() {
                break;
            }
            let received = self.client.receive(now, flow, bytes);
            let again = match received.item {
                Item::Message(message) => {
                    app.message(now, &message);
                    true
                }
                // It wants to be drained first, and then have the same bytes.
                Item::Later => true,
                Item::Nothing => received.consumed > 0,
                Item::More | Item::Broken => false,
            };
            let consumed = received.consumed;
            self.sockets.consume(now, flow, consumed);
            self.drain(app);
            if !again {
                break;
            }
        }
    }
}
