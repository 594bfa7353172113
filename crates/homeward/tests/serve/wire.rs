//! A wire to a server that a test can cut and mend.

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Wire {
    /// Where this end is, on this machine.
    pub port: u16,
    whole: watch::Sender<bool>,
}

impl Wire {
    /// To `target`, host and port.
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (whole, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *state.borrow() {
                    tokio::spawn(carry(near, target.clone(), state.clone()));
                }
            }
        });
        Self { port, whole }
    }

    /// Ends all connections; new ones end at once.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets new connections through.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn carry(mut near: TcpStream, target: String, mut state: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = state.wait_for(|whole| !whole) => {}
    }
}
