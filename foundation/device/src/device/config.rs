//! Changes the device and shows it.

use std::io;
use std::sync::Arc;

use nix::errno::Errno;
use phantom_types::PrivateKey;

use super::timers::SLICE;
use super::tx_queue::TxQueue;
use super::{Device, lock, tunnel};
use crate::uapi::{DeviceStatus, SetRequest};
use crate::udp::Socket;

/// What the device itself is set to.
#[derive(Clone, Default)]
pub(super) struct Settings {
    /// The wanted port, and the one in use once there is a socket; 0 for any.
    port: u16,
    mark: u32,
    private_key: Option<PrivateKey>,
}

impl Device {
    /// Makes the changes, or none of them: what can be refused comes first. The error is what the kernel said to the
    /// port or the firewall mark.
    pub(crate) async fn apply(&self, request: SetRequest) -> Result<(), Errno> {
        let _one_at_a_time = self.changes.lock().await;
        let mut settings = lock(&self.settings).clone();
        let key = request.private_key.map(|key| (key.as_bytes() != &[0; 32]).then_some(key));
        let has_key = key.as_ref().unwrap_or(&settings.private_key).is_some();
        let from = settings.port;
        let opened = self.set_socket(&mut settings, request.listen_port, request.fwmark, has_key).await;
        opened.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32)))?;
        if let Some(key) = key
            && key != settings.private_key
        {
            self.table.set_private_key(key.as_ref()).await;
            settings.private_key = key;
        }
        let moved = from != 0 && settings.port != from;
        *lock(&self.settings) = settings;
        let count = self.table.set_peers(request.peers, request.replace_peers).await;
        if count.added + count.removed > 0 {
            let (added, removed, total) = (count.added, count.removed, count.total);
            self.log().line(format_args!("peers: {added} added, {removed} removed, {total} in all"));
        }
        if moved {
            self.tell_peers().await;
        }
        Ok(())
    }

    /// Peers send to where the last packet came from. Those with a session learn the new port at once; others are
    /// sent nothing, since somebody else may have their address by now.
    async fn tell_peers(&self) {
        let mut tx_queue = TxQueue::default();
        for peers in self.table.all().chunks(SLICE) {
            for peer in peers {
                tunnel::tell(&self.table, peer, &mut tx_queue);
            }
            self.transmit(&mut tx_queue).await;
            tokio::task::yield_now().await;
        }
    }

    /// The device itself, without its peers.
    pub(crate) fn status(&self) -> DeviceStatus {
        let Settings { port, mark, private_key } = lock(&self.settings).clone();
        DeviceStatus { private_key, listen_port: port, fwmark: mark }
    }

    /// Opens the socket once there is a key, opens another for another port, and marks it. Leaves the one there is
    /// alone if nothing changes.
    async fn set_socket(
        &self,
        settings: &mut Settings,
        port: Option<u16>,
        mark: Option<u32>,
        has_key: bool,
    ) -> io::Result<()> {
        let (wanted, mark) = (port.unwrap_or(settings.port), mark.unwrap_or(settings.mark));
        let moves = port.is_some_and(|port| port != settings.port);
        match self.socket() {
            Some(socket) if !moves => {
                if mark != settings.mark {
                    socket.set_mark(mark)?;
                }
            }
            None if !has_key => settings.port = wanted,
            _ => {
                let socket = Socket::bind(wanted, mark, self.offload).await?;
                settings.port = socket.port();
                self.log().line(format_args!("listening on UDP {}", socket.port()));
                self.socket.send_replace(Some(Arc::new(socket)));
            }
        }
        settings.mark = mark;
        Ok(())
    }
}
