//! What comes at once is done together: while one group is worked on, the next one gathers.

use std::collections::HashSet;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// The most that are done together.
const MOST: usize = 64;

/// A request that others may be done together with.
pub(super) trait Grouped {
    /// What no two requests of one group have in common.
    fn keys(&self) -> impl Iterator<Item = [u8; 32]>;
}

/// Requests that wait, and for an answer `A` each.
#[derive(Debug)]
pub(super) struct Group<Q, A>(UnboundedSender<Waiting<Q, A>>);

impl<Q, A> Clone for Group<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug)]
struct Waiting<Q, A> {
    request: Q,
    answer: oneshot::Sender<A>,
}

impl<Q, A> Group<Q, A>
where
    Q: Grouped + Send + 'static,
    A: Send + 'static,
{
    /// Starts to do `work` for groups, one after the other, until nobody can ask any more. It gives
    /// the answers in the order of the requests, and none at all when it fails.
    pub(super) fn start<F>(work: impl Fn(Vec<Q>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<Vec<A>>> + Send,
    {
        let (ask, mut asked) = unbounded_channel();
        tokio::spawn(async move {
            let mut waiting = Vec::new();
            while !waiting.is_empty() || asked.recv_many(&mut waiting, MOST).await > 0 {
                let group = next_group(&mut waiting, &mut asked);
                let (requests, answers): (Vec<_>, Vec<_>) =
                    group.into_iter().map(|it| (it.request, it.answer)).unzip();
                let done = work(requests).await.unwrap_or_default();
                for (tell, answer) in answers.into_iter().zip(done) {
                    // Who went away needs none.
                    let _ = tell.send(answer);
                }
            }
        });
        Self(ask)
    }

    /// Has a request done with others, also when its caller goes away. `None` when their work failed:
    /// it may succeed alone.
    pub(super) async fn join(&self, request: Q) -> Option<A> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Waiting { request, answer }).ok()?;
        answered.await.ok()
    }
}

/// Takes the next group; what has a key in common with it waits on.
fn next_group<Q: Grouped, A>(
    waiting: &mut Vec<Waiting<Q, A>>,
    asked: &mut UnboundedReceiver<Waiting<Q, A>>,
) -> Vec<Waiting<Q, A>> {
    while waiting.len() < MOST
        && let Ok(one) = asked.try_recv()
    {
        waiting.push(one);
    }
    let mut seen = HashSet::new();
    let joins = |one: &mut Waiting<Q, A>| {
        let is_new = one.request.keys().all(|key| !seen.contains(&key));
        if is_new {
            seen.extend(one.request.keys());
        }
        is_new
    };
    waiting.extract_if(.., joins).collect()
}
