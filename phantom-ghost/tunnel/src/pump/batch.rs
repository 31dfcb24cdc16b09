//! Datagrams on their way to the stream: framed where they lie, written in one go.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::padding::Padding;
use crate::codec::{self, FrameKind};
use crate::udp::{Batch, HEADROOM};

/// Frames a batch in place and writes it; what the stream does not take goes to `backlog`.
pub(super) fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    batch: Batch<'_>,
    padding: &mut Padding,
    masked: bool,
    backlog: &mut Vec<u8>,
) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(batch.len());
    for (slot, length) in batch.into_slots().filter(|(_, length)| *length > 0) {
        let header = codec::header(FrameKind::Datagram, length, masked);
        let start = HEADROOM - header.len();
        slot[start..HEADROOM].copy_from_slice(&header);
        let end = HEADROOM + length;
        let end = end + padding.append(slot[HEADROOM], length, &mut slot[end..], masked);
        slices.push(IoSlice::new(&slot[start..end]));
    }
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match Pin::new(&mut *stream).poll_write_vectored(context, rest) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(count)) => IoSlice::advance_slices(&mut rest, count),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => {
                for slice in rest {
                    backlog.extend_from_slice(slice);
                }
                return Ok(());
            }
        }
    }
    Ok(())
}
