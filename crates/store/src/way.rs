//! A way to PostgreSQL on which nothing waits for company.
//!
//! sqlx does not switch Nagle's algorithm off (`TCP_NODELAY`, seen with 0.9). A statement that is written in two parts, as every one
//! above 16 KiB is under TLS, then stands still for the 40 ms that the other side takes to acknowledge the first: measured, a
//! sixth of the throughput. So sqlx is given a socket in the file system, in a folder that only this user may enter, and what it
//! writes there goes on over TCP at once. TLS is between sqlx and the server, as before: its bytes are passed on as they are.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

/// What is passed on at once at the most.
const BUFFER: usize = 64 * 1024;

/// How long it is waited for a server that is not there; nobody waits for a connection of the pool any longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is tried meanwhile.
const AGAIN: Duration = Duration::from_millis(50);

/// The way; closed with everything on it when dropped.
#[derive(Debug)]
pub(crate) struct Way {
    folder: PathBuf,
    passing: JoinHandle<()>,
}

impl Way {
    /// Opens a way to the server at `host` and `port`. Nothing is connected yet.
    pub(crate) fn open(host: &str, port: u16) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("homeward-{}", Uuid::new_v4().simple()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        // The name that clients of PostgreSQL look for.
        let listener = UnixListener::bind(folder.join(format!(".s.PGSQL.{port}")));
        let listener = listener.inspect_err(|_| remove(&folder))?;
        let passing = tokio::spawn(pass(listener, host.to_owned(), port));
        Ok(Self { folder, passing })
    }

    /// Where sqlx is to look for the socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.passing.abort();
        remove(&self.folder);
    }
}

/// Best effort: an empty folder of temporary files harms nobody.
fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder).ok();
}

async fn pass(listener: UnixListener, host: String, port: u16) {
    let mut ways = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => drop(ways.spawn(one(near, host.clone(), port))),
                Err(error) => {
                    tracing::warn!(%error, "a connection to the database could not be taken");
                    tokio::time::sleep(AGAIN).await;
                }
            },
            Some(_) = ways.join_next() => {}
        }
    }
}

/// As sqlx does, it waits for a server that is starting; for how long is decided by whoever waits for the connection.
async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let began = Instant::now();
    loop {
        match TcpStream::connect((host, port)).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && began.elapsed() < PATIENCE => {
                tokio::time::sleep(AGAIN).await;
            }
            connected => return connected,
        }
    }
}

/// One connection, until either side ends it. What went wrong shows at both sides as the end of the connection.
async fn one(mut near: UnixStream, host: String, port: u16) {
    let passed = async {
        let mut far = connect(&host, port).await?;
        far.set_nodelay(true)?;
        copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER).await
    };
    if let Err(error) = passed.await {
        tracing::debug!(host, port, %error, "a connection to the database was lost");
    }
}
