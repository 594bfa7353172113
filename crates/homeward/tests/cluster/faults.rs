//! What is done to Homeward and to the servers that it stands on, and how often.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use homeward_messaging::topology::QUEUES;
use homeward_world::Cluster;
use homeward_world::cluster::{ROLES, Service};

use crate::mail::Post;
use crate::part::Part;

/// The time between two kills, at least and at most.
const PACE: (Duration, Duration) = (Duration::from_millis(150), Duration::from_millis(650));
/// How long messages may take to gather in a queue whose consumers are gone.
const GATHER: Duration = Duration::from_secs(8);
/// Recoveries under way when faults begin.
const SWING: usize = 60;

/// What happened so far.
#[derive(Default)]
pub struct Faults {
    killed: BTreeMap<&'static str, usize>,
    rabbitmq: usize,
    postgres: usize,
    under_way: Vec<usize>,
    thrown_away: BTreeMap<&'static str, usize>,
    poison: BTreeMap<&'static str, Vec<String>>,
    stood_still: usize,
    stops: Vec<Duration>,
    /// Kills and pauses that fell between the acceptance of a letter and the commit that says so.
    cuts: usize,
}

impl Faults {
    /// How often a letter may be sent once more.
    pub fn cuts(&self) -> usize {
        self.cuts
    }

    /// What must lie among the dead letters of a queue.
    pub fn poison(&self, queue: &str) -> &[String] {
        self.poison.get(queue).map_or(&[], Vec::as_slice)
    }

    /// Kills services one after another, each started again at once, and both servers every now and then.
    pub async fn kill_everything(&mut self, cluster: &mut Cluster, kills: usize, part: &mut Part) {
        part.in_swing(cluster, SWING).await;
        self.send_poison(cluster).await;
        for n in 1..=kills {
            let (least, most) = PACE;
            tokio::time::sleep(least + most.saturating_sub(least).mul_f64(rand::random())).await;
            part.goes_on(cluster).await;
            self.under_way.push(part.under_way());
            // Each role in turn, so that none is spared; which of its processes is chance.
            let (role, replica) = (ROLES[n % ROLES.len()], usize::from(rand::random::<bool>()));
            self.kill(cluster.of(role).nth(replica).unwrap());
            if n % 10 == 0 {
                cluster.servers.kill_rabbitmq().unwrap();
                self.rabbitmq += 1;
            }
            if n % 20 == 0 {
                self.kill_postgres(cluster);
            }
            if n % 10 == 0 {
                tokio::task::block_in_place(|| cluster.servers.up()).unwrap();
                part.gets_on(cluster, 1).await;
            }
        }
        part.gets_on(cluster, 10).await;
    }

    fn kill(&mut self, service: &mut Service) {
        let post = Post::of(service);
        service.kill().unwrap();
        self.cuts += usize::from(post.is_some_and(|post| post.is_between()));
        *self.killed.entry(service.role).or_default() += 1;
        service.start().unwrap();
    }

    /// What is accepted while the database is away cannot be committed either.
    fn kill_postgres(&mut self, cluster: &mut Cluster) {
        let posts: Vec<Post> = cluster.services.iter().filter_map(Post::of).collect();
        let before: Vec<usize> = posts.iter().map(Post::batches).collect();
        cluster.servers.kill_postgres().unwrap();
        self.postgres += 1;
        tokio::task::block_in_place(|| cluster.servers.up()).unwrap();
        let cut = posts.iter().zip(before).any(|(post, before)| post.is_between() || post.batches() > before);
        self.cuts += usize::from(cut);
    }

    /// Bytes that are no message, into each queue.
    async fn send_poison(&mut self, cluster: &Cluster) {
        for queue in QUEUES {
            for n in 0..2 {
                let bytes = format!("poison {n} of {} at {:?}", queue.name, Instant::now());
                cluster.servers.poison(queue.name, &bytes).await.unwrap();
                self.poison.entry(queue.name).or_default().push(bytes);
            }
        }
    }

    /// Throws away what lies in each queue while its consumers are gone: what is owed is asked for again.
    pub async fn empty_every_queue(&mut self, cluster: &mut Cluster, part: &mut Part) {
        part.in_swing(cluster, SWING).await;
        for role in ROLES {
            let queues: Vec<&'static str> =
                QUEUES.iter().map(|queue| queue.name).filter(|name| name.split('.').next() == Some(role)).collect();
            if queues.is_empty() {
                continue;
            }
            for service in cluster.of(role) {
                let post = Post::of(service);
                service.kill().unwrap();
                self.cuts += usize::from(post.is_some_and(|post| post.is_between()));
            }
            let began = Instant::now();
            let mut lying = vec![0; queues.len()];
            while lying.contains(&0) && began.elapsed() < GATHER {
                for (queue, lying) in queues.iter().zip(&mut lying) {
                    *lying = cluster.servers.lying_in(queue).await.unwrap().len();
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            for (queue, lying) in queues.iter().zip(lying) {
                cluster.servers.purge(queue).await.unwrap();
                *self.thrown_away.entry(*queue).or_default() += lying;
            }
            for service in cluster.of(role) {
                service.start().unwrap();
            }
            for service in cluster.of(role) {
                service.ready(Duration::from_mins(1)).await.unwrap();
            }
        }
        part.gets_on(cluster, 10).await;
    }

    /// One process of each service stands still; the others go on. Then it goes on, too, where it stood.
    pub async fn stand_still(&mut self, cluster: &mut Cluster, long: Duration, part: &mut Part) {
        part.in_swing(cluster, SWING).await;
        let began = Instant::now();
        for service in cluster.services.iter().filter(|service| service.replica == 0) {
            service.pause(true).unwrap();
            self.stood_still += 1;
            self.cuts += usize::from(Post::of(service).is_some_and(|post| post.is_between()));
        }
        part.gets_on(cluster, 10).await;
        tokio::time::sleep(long.saturating_sub(began.elapsed())).await;
        part.goes_on(cluster).await;
        for service in cluster.services.iter().filter(|service| service.replica == 0) {
            service.pause(false).unwrap();
        }
        part.gets_on(cluster, 10).await;
    }

    /// As an upgrade does it: one process after another ends in order, and begins anew.
    pub async fn start_anew_one_by_one(&mut self, cluster: &mut Cluster, part: &mut Part) {
        part.in_swing(cluster, SWING).await;
        for at in 0..cluster.services.len() {
            let service = &mut cluster.services[at];
            self.stops.push(tokio::task::block_in_place(|| service.stop()).unwrap());
            service.start().unwrap();
            service.ready(Duration::from_mins(1)).await.unwrap();
            part.goes_on(cluster).await;
        }
        part.gets_on(cluster, 10).await;
    }

    /// Whether as much happened as the test is for.
    pub fn were_enough(&self, kills: usize) {
        assert_eq!(self.killed.values().sum::<usize>(), kills);
        assert!(self.killed.len() == ROLES.len() || kills < ROLES.len(), "{:?}", self.killed);
        assert_eq!((self.rabbitmq, self.postgres), (kills / 10, kills / 20));
        let swing = self.under_way.iter().filter(|under_way| **under_way >= SWING).count();
        assert!(2 * swing >= kills, "{swing} of {kills} kills fell while {SWING} recoveries were under way");
        let empty: Vec<_> = self.thrown_away.iter().filter(|(_, thrown)| **thrown == 0).collect();
        assert!(empty.len() <= 1, "nothing lay in these queues when they were emptied: {empty:?}");
        assert_eq!((self.stood_still, self.stops.len()), (ROLES.len(), 2 * ROLES.len()));
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut under_way = self.under_way.clone();
        under_way.sort_unstable();
        let median = under_way.get(under_way.len() / 2).copied().unwrap_or(0);
        writeln!(f, "killed: {:?}; RabbitMQ {} times, PostgreSQL {} times", self.killed, self.rabbitmq, self.postgres)?;
        writeln!(f, "recoveries under way at a kill: median {median}, most {}", under_way.last().copied().unwrap_or(0))?;
        writeln!(f, "thrown away from queues: {:?}", self.thrown_away)?;
        writeln!(f, "stood still: {}; slowest orderly stop {:?}", self.stood_still, self.stops.iter().max())?;
        write!(f, "between a letter's acceptance and its commit: {}", self.cuts)
    }
}
