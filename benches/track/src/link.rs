//! Distance: what passes is late by half a round trip each way, and no faster than the line.
//!
//! A connection costs one round trip before anything passes. The growth of TCP's window is not played.

use std::io::{Read as _, Result, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The line to emulate.
#[derive(clap::Args)]
pub struct Options {
    /// Where it leads.
    to: SocketAddr,
    /// Milliseconds from one end to the other and back.
    #[arg(long)]
    rtt_ms: u64,
    /// Megabits per second, each way, for all connections together.
    #[arg(long, default_value_t = 1000)]
    megabits: u64,
}

/// Listens on a loopback port, prints `listening on PORT`, and passes on what comes until the process ends.
pub fn run(options: &Options) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("listening on {}", listener.local_addr()?.port());
    let rtt = Duration::from_millis(options.rtt_ms);
    let way =
        || Way { late: rtt / 2, nanos_per_byte: 8_000.0 / options.megabits as f64, free: Mutex::new(Instant::now()) };
    let (there, back) = (Arc::new(way()), Arc::new(way()));
    for client in listener.incoming() {
        let (client, there, back, to) = (client?, there.clone(), back.clone(), options.to);
        thread::spawn(move || {
            thread::sleep(rtt);
            let server = TcpStream::connect(to)?;
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            let (client_again, server_again) = (client.try_clone()?, server.try_clone()?);
            thread::spawn(move || there.pass(client_again, server));
            back.pass(server_again, client)
        });
    }
    Ok(())
}

/// One direction.
struct Way {
    late: Duration,
    nanos_per_byte: f64,
    /// When the line has sent all that was given to it.
    free: Mutex<Instant>,
}

impl Way {
    fn pass(&self, mut from: TcpStream, mut to: TcpStream) -> Result<()> {
        // What may be on its way at a time: more than the line holds at any distance that is worth measuring.
        let (sender, receiver) = sync_channel::<(Instant, Vec<u8>)>(IN_FLIGHT / CHUNK);
        let writer = thread::spawn(move || {
            for (due, bytes) in receiver {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if to.write_all(&bytes).is_err() {
                    break;
                }
            }
            // The other side may have gone before.
            let _ = to.shutdown(Shutdown::Write);
        });
        loop {
            let mut bytes = vec![0; CHUNK];
            let n = from.read(&mut bytes).unwrap_or(0);
            if n == 0 {
                break;
            }
            bytes.truncate(n);
            if sender.send((self.due(n), bytes)).is_err() {
                break;
            }
        }
        drop(sender);
        let _ = writer.join();
        Ok(())
    }

    /// Says when `n` bytes that come now have arrived.
    fn due(&self, n: usize) -> Instant {
        let mut free = self.free.lock().expect("no thread panics while it holds this");
        *free = (*free).max(Instant::now()) + Duration::from_nanos((n as f64 * self.nanos_per_byte) as u64);
        *free + self.late
    }
}

const CHUNK: usize = 16 << 10;
const IN_FLIGHT: usize = 8 << 20;
