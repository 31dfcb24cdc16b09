//! rtnetlink's connection, on a runtime of its own that is made when it is first needed.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt as _;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::Handle;
use tokio::runtime::Runtime;

use super::{ANSWER_LIMIT, DUMP_ATTEMPTS, NetlinkFault};

/// What a change does with an object of the same identity that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changing {
    /// Makes a new object; one that is there is an error (`EEXIST`).
    Create,
    /// Changes or removes the object that is there.
    Existing,
    /// Makes a new object, or changes the one that is there.
    Either,
    /// Makes a new object, or puts it in the place of the one that is there.
    Replace,
}

/// A connection to the kernel's routing configuration (`NETLINK_ROUTE`). Nothing is open before the first request,
/// and then it stays in the network namespace of the thread that made it.
#[derive(Default)]
pub(crate) struct RouteSocket {
    open: Mutex<Option<Open>>,
}

impl fmt::Debug for RouteSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouteSocket")
    }
}

impl RouteSocket {
    /// All objects of a kind.
    pub(crate) fn dump(
        &self,
        message: &RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkFault> {
        for _ in 0..DUMP_ATTEMPTS {
            let reply = self.exchange(message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            if !reply.interrupted {
                return Ok(reply.messages);
            }
        }
        Err(NetlinkFault::Unsteady)
    }

    /// One object. The acknowledgement is asked for too, so that an answer that cannot be decoded is an error and
    /// not a wait without end.
    pub(crate) fn get(&self, message: RouteNetlinkMessage) -> Result<RouteNetlinkMessage, NetlinkFault> {
        let reply = self.exchange(message, NLM_F_REQUEST | NLM_F_ACK)?;
        reply.messages.into_iter().next().ok_or_else(|| NetlinkFault::Garbled("an empty answer".to_owned()))
    }

    /// Makes, changes or removes an object.
    pub(crate) fn change(
        &self,
        message: RouteNetlinkMessage,
        changing: Changing,
    ) -> Result<(), NetlinkFault> {
        let flags = match changing {
            Changing::Create => NLM_F_CREATE | NLM_F_EXCL,
            Changing::Existing => 0,
            Changing::Either => NLM_F_CREATE,
            Changing::Replace => NLM_F_CREATE | NLM_F_REPLACE,
        };
        self.exchange(message, NLM_F_REQUEST | NLM_F_ACK | flags).map(|_| ())
    }

    fn exchange(&self, message: RouteNetlinkMessage, flags: u16) -> Result<Reply, NetlinkFault> {
        let mut place = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = place.take().map_or_else(Open::new, Ok)?;
        let result = open.exchange(message, flags);
        // After any other fault replies may still be on their way: the next request gets a fresh connection.
        if matches!(result, Ok(_) | Err(NetlinkFault::Refused(_))) {
            *place = Some(open);
        }
        result
    }
}

struct Reply {
    messages: Vec<RouteNetlinkMessage>,
    interrupted: bool,
}

struct Open {
    /// Always there; an `Option` because giving up a runtime consumes it.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Open {
    fn new() -> Result<Self, NetlinkFault> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = {
            let _context = runtime.enter();
            // Strict checking lets the kernel filter dumps; kernels before 4.20 do not have it and send everything.
            let (mut connection, handle, _) =
                rtnetlink::new_connection_with_strict_check().or_else(|_| rtnetlink::new_connection())?;
            connection.set_forward_done(true);
            connection.set_forward_ack(true);
            runtime.spawn(connection);
            handle
        };
        Ok(Self { runtime: Some(runtime), handle })
    }

    fn exchange(&self, message: RouteNetlinkMessage, flags: u16) -> Result<Reply, NetlinkFault> {
        let Some(runtime) = &self.runtime else { return Err(closed()) };
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        let handle = self.handle.clone();
        let conversation = async { tokio::time::timeout(ANSWER_LIMIT, converse(handle, request)).await };
        wait(runtime, conversation).map_err(|_| NetlinkFault::Silent)?
    }
}

/// Runs `work` to its end. A program that calls this inside a task of its own runtime blocks that runtime for a
/// moment; waiting for one runtime on a thread of another would panic, so it is done on a thread of its own then.
fn wait<T: Send>(runtime: &Runtime, work: impl Future<Output = T> + Send) -> T {
    if tokio::runtime::Handle::try_current().is_err() {
        return runtime.block_on(work);
    }
    let result = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(work)).join());
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Drop for Open {
    fn drop(&mut self) {
        // Dropping a runtime inside another one's task panics; this does not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Sends the request and reads to the message that ends the answer. A stream that ends without one means that the
/// connection is gone.
async fn converse(
    mut handle: Handle,
    request: NetlinkMessage<RouteNetlinkMessage>,
) -> Result<Reply, NetlinkFault> {
    let mut stream = handle.request(request).map_err(|_| closed())?;
    let mut reply = Reply { messages: Vec::new(), interrupted: false };
    while let Some(message) = stream.next().await {
        reply.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        match message.payload {
            NetlinkPayload::InnerMessage(inner) => reply.messages.push(inner),
            NetlinkPayload::Done(done) if done.code < 0 => return Err(NetlinkFault::errno(done.code)),
            NetlinkPayload::Done(_) => return Ok(reply),
            NetlinkPayload::Error(error) => return NetlinkFault::from_message(&error).map_or(Ok(reply), Err),
            NetlinkPayload::Overrun(_) => return Err(NetlinkFault::Overrun),
            _ => {}
        }
    }
    Err(closed())
}

fn closed() -> NetlinkFault {
    NetlinkFault::Garbled("the netlink connection ended".to_owned())
}
