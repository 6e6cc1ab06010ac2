//! The kernel's own news of closed sockets: short connections are seen without polling.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;

use super::decode::decode_dump;
use super::watch::{Caught, PAUSE_MS, Watch};
use super::{Socket, Transport};

/// Most events kept between two rounds; further ones are counted.
const MAX_EVENTS: usize = 65_536;
/// Datagrams read from one namespace before the next gets its turn.
const TURN: usize = 256;

/// Listens in all namespaces with one thread. Dropping it ends and joins the thread.
#[derive(Debug)]
pub(crate) struct DestroyListener {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: OwnedFd,
}

#[derive(Debug, Default)]
struct State {
    sockets: BTreeMap<u64, Arc<OwnedFd>>,
    events: Vec<Socket>,
    lost: u64,
    stop: bool,
    dumps: BTreeMap<u64, Arc<OwnedFd>>,
    watch: Watch,
    caught: Vec<Caught>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // The counter can only be full when the thread has not yet answered an earlier wake.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl DestroyListener {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread or descriptor.
    pub(crate) fn start() -> io::Result<Self> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { state: Mutex::default(), wake });
        let thread = std::thread::Builder::new().name("itom-destroy".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || listen(&shared)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Adds the multicast socket of a namespace.
    pub(crate) fn add(&self, namespace: u64, socket: OwnedFd, dump: Option<OwnedFd>) {
        let mut state = self.shared.lock();
        state.sockets.insert(namespace, Arc::new(socket));
        state.dumps.extend(dump.map(|dump| (namespace, Arc::new(dump))));
        drop(state);
        self.shared.wake();
    }

    /// Forgets the namespaces that are not in use any more, so that the kernel can free them.
    pub(crate) fn retain(&self, keep: impl Fn(u64) -> bool) {
        let mut state = self.shared.lock();
        state.sockets.retain(|namespace, _| keep(*namespace));
        state.dumps.retain(|namespace, _| keep(*namespace));
        drop(state);
        self.shared.wake();
    }

    /// Looks for the programs of these peers from now on, instead of those of the last watch.
    pub(crate) fn watch(&self, watch: Watch) {
        self.shared.lock().watch = watch;
        self.shared.wake();
    }

    /// What the watch has caught since the last call.
    pub(crate) fn caught(&self) -> Vec<Caught> {
        std::mem::take(&mut self.shared.lock().caught)
    }

    /// What came since the last call: closed sockets, and how many times news were lost.
    pub(crate) fn drain(&self) -> (Vec<Socket>, u64) {
        // What the kernel already queued counts for this round, even when the thread has not come to it yet.
        let sockets: Vec<(u64, Arc<OwnedFd>)> =
            self.shared.lock().sockets.iter().map(|(id, socket)| (*id, Arc::clone(socket))).collect();
        let mut buffer = vec![0_u8; 8192];
        for (namespace, socket) in sockets {
            receive(&self.shared, namespace, &socket, &mut buffer, MAX_EVENTS);
        }
        let mut state = self.shared.lock();
        (std::mem::take(&mut state.events), std::mem::take(&mut state.lost))
    }
}

impl Drop for DestroyListener {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(shared: &Shared) {
    let mut buffer = vec![0_u8; 8192];
    let mut dump_buffer = Vec::new();
    loop {
        let sockets: Vec<(u64, Arc<OwnedFd>)> = {
            let state = shared.lock();
            if state.stop {
                return;
            }
            state.sockets.iter().map(|(id, socket)| (*id, Arc::clone(socket))).collect()
        };
        let mut polled: Vec<PollFd<'_>> = std::iter::once(shared.wake.as_fd())
            .chain(sockets.iter().map(|(_, socket)| socket.as_fd()))
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        let mut watch = std::mem::take(&mut shared.lock().watch);
        let pause = Timespec { tv_sec: 0, tv_nsec: PAUSE_MS * 1_000_000 };
        let pause = if watch.is_over() { None } else { Some(&pause) };
        match rustix::event::poll(&mut polled, pause) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Out of memory or descriptors: without news the rounds still poll.
            Err(_) => return,
        }
        if !watch.is_over() {
            let dumps = shared.lock().dumps.clone();
            let caught = watch.look(&dumps, &mut dump_buffer);
            let mut state = shared.lock();
            state.caught.extend(caught);
            // A newer watch came meanwhile: it knows better.
            if state.watch.is_over() {
                state.watch = watch;
            }
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready.first() == Some(&true) {
            let mut count = [0_u8; 8];
            let _ = rustix::io::read(&shared.wake, &mut count[..]);
        }
        for ((namespace, socket), _) in sockets.iter().zip(ready.iter().skip(1)).filter(|(_, ready)| **ready)
        {
            receive(shared, *namespace, socket, &mut buffer, TURN);
        }
    }
}

fn receive(shared: &Shared, namespace: u64, socket: &OwnedFd, buffer: &mut [u8], most: usize) {
    for _ in 0..most {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((length, _)) => {
                let mut state = shared.lock();
                let bytes = buffer.get(..length).unwrap_or(&[]);
                let _ = decode_dump(bytes, namespace, Transport::Tcp, |closed| {
                    // A socket that never had a peer says nothing about connections.
                    if closed.remote.port() == 0 || closed.local.port() == 0 {
                        return;
                    }
                    if state.events.len() < MAX_EVENTS {
                        state.events.push(closed);
                    } else {
                        state.lost += 1;
                    }
                });
            }
            // The socket's buffer was full: the kernel does not say how many were lost.
            Err(rustix::io::Errno::NOBUFS) => shared.lock().lost += 1,
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::super::{Opener, netlink};
    use super::*;

    #[test]
    fn a_short_connection_is_seen() {
        let opened = netlink::open(None, true).expect("sock_diag is there");
        let Some(events) = opened.destroy else {
            eprintln!("skipped: this kernel refuses the sock_diag destroy multicast");
            return;
        };
        let listener = DestroyListener::start().expect("a thread");
        listener.add(1, events, None);
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("bound");
        let mut client = TcpStream::connect(address).expect("connects");
        let (mut accepted, _) = server.accept().expect("accepts");
        client.write_all(b"hello").expect("writes");
        let mut hello = [0; 5];
        accepted.read_exact(&mut hello).expect("reads");
        drop(client);
        assert_eq!(accepted.read(&mut hello).expect("end"), 0);
        drop(accepted);
        // Both ends are closed when the last reference goes, which may be a moment later, in the kernel's own time.
        let mut seen = Vec::new();
        for _ in 0..1_000_000 {
            let (events, _) = listener.drain();
            seen.extend(
                events.into_iter().filter(|socket| socket.remote == address || socket.local == address),
            );
            if seen.len() >= 2 {
                break;
            }
            std::thread::yield_now();
        }
        let client = seen.iter().find(|socket| socket.remote == address).expect("the client's end is told");
        assert!(client.confirmed && client.opener != Opener::Remote);
        assert!(seen.iter().any(|socket| socket.local == address && socket.opener != Opener::Local));
    }
}
