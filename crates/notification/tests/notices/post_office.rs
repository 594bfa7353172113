//! A mail server on loopback that speaks real SMTP: `nobody@` does not exist, `busy@` takes mail at the second try only, and
//! with `slow…@` everything takes its time.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mail_parser::MessageParser;
use mailin::{Action, Handler, Response, SessionBuilder, response};

#[derive(Clone, Default)]
struct Desk {
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    tried: Arc<Mutex<Vec<String>>>,
    data: Vec<u8>,
}

impl Handler for Desk {
    fn rcpt(&mut self, to: &str) -> Response {
        let mut tried = self.tried.lock().unwrap();
        let first = !tried.iter().any(|known| known == to);
        tried.push(to.to_owned());
        drop(tried);
        if to.starts_with("slow") {
            std::thread::sleep(std::time::Duration::from_millis(250));
        }
        if to.starts_with("nobody@") {
            response::NO_MAILBOX
        } else if to.starts_with("busy@") && first {
            response::INTERNAL_ERROR
        } else {
            response::OK
        }
    }

    fn data_start(&mut self, _domain: &str, _from: &str, _is8bit: bool, _to: &[String]) -> Response {
        self.data.clear();
        response::OK
    }

    fn data(&mut self, part: &[u8]) -> std::io::Result<()> {
        self.data.extend_from_slice(part);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        self.received.lock().unwrap().push(self.data.clone());
        response::OK
    }
}

/// The server. Ends when closed or with the test.
pub struct PostOffice {
    pub address: SocketAddr,
    desk: Desk,
    closed: Arc<AtomicBool>,
}

impl PostOffice {
    pub fn open() -> Self {
        // Below the ports that outgoing connections take, so that a reopening finds it free.
        let listener = (21_900..22_400).find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        Self::on(listener.expect("one of 500 ports is free"))
    }

    /// The same address again, with an empty mail bag.
    pub fn reopen(&self) -> Self {
        for _ in 0..200 {
            if let Ok(listener) = TcpListener::bind(self.address) {
                return Self::on(listener);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{} stays taken", self.address);
    }

    fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let office = Self { address, desk: Desk::default(), closed: Arc::default() };
        let (desk, closed) = (office.desk.clone(), office.closed.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, desk) = (stream.unwrap(), desk.clone());
                std::thread::spawn(move || serve(&stream, desk));
            }
        });
        office
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the listener, which then ends.
        drop(TcpStream::connect(self.address));
    }

    pub fn forget(&self) {
        self.desk.received.lock().unwrap().clear();
        self.desk.tried.lock().unwrap().clear();
    }

    pub fn message_ids(&self) -> Vec<String> {
        let received = self.desk.received.lock().unwrap();
        received.iter().map(|mail| MessageParser::default().parse(mail).unwrap().message_id().unwrap().to_owned()).collect()
    }
}

fn serve(stream: &TcpStream, desk: Desk) {
    let mut session = SessionBuilder::new("post.test").build(IpAddr::V4(Ipv4Addr::LOCALHOST), desk);
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    writer.write_all(&session.greeting().buffer().unwrap()).unwrap();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let answer = session.process(&line);
        line.clear();
        match answer.action {
            Action::NoReply => {}
            Action::Close => {
                let _ = writer.write_all(&answer.buffer().unwrap());
                return;
            }
            Action::Reply | Action::UpgradeTls => writer.write_all(&answer.buffer().unwrap()).unwrap(),
        }
    }
}
