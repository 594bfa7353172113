//! An answer that goes on for long, as a timeline does, ends when the server stops: otherwise the server would wait for it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;

use super::Refused;

pin_project! {
    /// The body of an answer. What is there is sent; where there is nothing to send, the end of the server ends it.
    struct Ending {
        #[pin]
        inner: Body,
        #[pin]
        stop: WaitForCancellationFutureOwned,
        ended: bool,
    }
}

/// `body`, which ends at the latest when `stop` is there.
pub(super) fn ending(body: Body, stop: &CancellationToken) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::new(Ending { inner: body, stop: stop.clone().cancelled_owned(), ended: false })
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            return Poll::Ready(frame);
        }
        ready!(this.stop.poll(cx));
        *this.ended = true;
        let mut trailers = HeaderMap::new();
        stopping().add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn stopping() -> Status {
    Refused::unavailable(
        "STOPPING",
        "this process of Homeward stops",
        "ask again: another one answers, or this one once it is back",
    )
    .into()
}
