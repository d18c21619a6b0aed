//! One lookup of a name: the hosts file, then the search list, each name asked for both families.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::Query,
        rr::{Name, RecordType},
    },
    system_conf,
};

use super::Source;

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How often it is looked whether these files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// For one server to answer; what `resolv.conf` says counts where it is less.
const TIMEOUT_MOST: Duration = Duration::from_secs(3);

/// What a hosts file says holds until the file is read again.
const HOSTS_TTL: Duration = Duration::from_secs(30);

/// What a lookup found.
#[derive(Debug)]
pub(super) enum Answer {
    /// Addresses.
    Found {
        families: Families,
        ttl: Duration,
        /// Why one of the families could not be asked for; it is as it was.
        failed: Option<String>,
    },
    /// Servers say that there is no address.
    None,
    /// Nobody could be asked.
    Failed(String),
}

/// Addresses by family, so that one can stay when only the other is known anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Families {
    pub(super) v4: Vec<IpAddr>,
    pub(super) v6: Vec<IpAddr>,
}

impl Families {
    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    pub(super) fn all(&self) -> Vec<IpAddr> {
        self.v4.iter().chain(&self.v6).copied().collect()
    }
}

/// Makes lookups.
#[derive(Debug)]
pub(super) struct Lookups {
    source: Source,
    client: Mutex<Option<Client>>,
}

/// A client made from files as they were.
#[derive(Debug)]
struct Client {
    made: Arc<Made>,
    files: [Option<SystemTime>; 2],
    looked: Instant,
}

#[derive(Debug)]
struct Made {
    dns: Result<TokioResolver, String>,
    hosts: Hosts,
    search: Vec<Name>,
    ndots: usize,
}

impl Lookups {
    pub(super) fn new(source: Source) -> Self {
        Self { source, client: Mutex::new(None) }
    }

    /// Asks for a name of which `known` is known already.
    pub(super) async fn ask(&self, host: &str, known: &Families) -> Answer {
        let made = self.client();
        let Ok(name) = Name::from_utf8(host) else { return Answer::Failed("it is no valid name".into()) };
        if let Some(families) = made.in_hosts(&name) {
            return Answer::Found { families, ttl: HOSTS_TTL, failed: None };
        }
        let dns = match &made.dns {
            Ok(dns) => dns,
            Err(why) => return Answer::Failed(why.clone()),
        };
        let mut failure = None;
        for candidate in made.candidates(&name) {
            match ask_both(dns, candidate, known).await {
                Answer::None => {}
                // What is known may come from this very name: another one's addresses must not replace it.
                Answer::Failed(why) if !known.is_empty() => return Answer::Failed(why),
                Answer::Failed(why) => failure = Some(why),
                found => return found,
            }
        }
        failure.map_or(Answer::None, Answer::Failed)
    }

    /// The client, made anew where its files have changed.
    fn client(&self) -> Arc<Made> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = client.as_mut() {
            if client.looked.elapsed() < LOOK_EVERY {
                return client.made.clone();
            }
            client.looked = Instant::now();
            if client.files == self.files() {
                return client.made.clone();
            }
        }
        let files = self.files();
        let made = Arc::new(self.make());
        *client = Some(Client { made: made.clone(), files, looked: Instant::now() });
        made
    }

    fn files(&self) -> [Option<SystemTime>; 2] {
        let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
        [changed(Path::new(RESOLV_CONF)), changed(&self.source.hosts)]
    }

    fn make(&self) -> Made {
        let (config, mut options) = if self.source.servers.is_empty() {
            // Without a configuration the server is the one on this machine (resolv.conf(5)).
            system_conf::read_system_conf().unwrap_or_else(|_| {
                let local = NameServerConfig::udp_and_tcp(IpAddr::from([127, 0, 0, 1]));
                (ResolverConfig::from_parts(None, Vec::new(), vec![local]), ResolverOpts::default())
            })
        } else {
            let servers = self.source.servers.iter().map(|server| {
                let mut udp = ConnectionConfig::udp();
                udp.port = server.port();
                NameServerConfig::new(server.ip(), true, vec![udp])
            });
            (ResolverConfig::from_parts(None, Vec::new(), servers.collect()), ResolverOpts::default())
        };
        // What is known is kept by the names themselves; the search list and the hosts file are gone through here,
        // so that both families of a name come from the same place.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = options.timeout.min(TIMEOUT_MOST);
        let mut hosts = Hosts::default();
        if let Ok(file) = fs::File::open(&self.source.hosts) {
            // Lines before a fault are good.
            let _ = hosts.read_hosts_conf(file);
        }
        let search = match config.search() {
            [] => config.domain().cloned().into_iter().collect(),
            search => search.to_vec(),
        };
        let ndots = options.ndots;
        let dns = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| error.to_string());
        Made { dns, hosts, search, ndots }
    }
}

impl Made {
    fn in_hosts(&self, name: &Name) -> Option<Families> {
        let family = |record| {
            let found = self.hosts.lookup_static_host(&Query::query(name.clone(), record));
            found.map_or_else(Vec::new, |found| {
                found.answers().iter().filter_map(|record| record.data.ip_addr()).collect()
            })
        };
        let families = Families { v4: family(RecordType::A), v6: family(RecordType::AAAA) };
        (!families.is_empty()).then_some(families)
    }

    /// Names to ask for, in order: as glibc does, a name with few dots is tried in the search list first.
    fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut whole = name.clone();
        whole.set_fqdn(true);
        if name.is_fqdn() {
            return vec![whole];
        }
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let searched = self.search.iter().filter_map(|domain| {
            let mut candidate = name.clone().append_domain(domain).ok()?;
            candidate.set_fqdn(true);
            Some(candidate)
        });
        let mut candidates: Vec<Name> = searched.collect();
        candidates.insert(if dots >= self.ndots { 0 } else { candidates.len() }, whole);
        candidates
    }
}

async fn ask_both(dns: &TokioResolver, name: Name, known: &Families) -> Answer {
    let v6 = tokio::spawn(ask_one(dns.clone(), name.clone(), RecordType::AAAA));
    let v4 = ask_one(dns.clone(), name, RecordType::A).await;
    let v6 = v6.await.unwrap_or_else(|_| Err("the lookup was cut off".into()));
    let (failed, families, ttl) = match (v4, v6) {
        (Ok((v4, first)), Ok((v6, second))) => (None, Families { v4, v6 }, first.min(second)),
        (Ok((v4, ttl)), Err(why)) => (Some(why), Families { v4, v6: known.v6.clone() }, ttl),
        (Err(why), Ok((v6, ttl))) => (Some(why), Families { v4: known.v4.clone(), v6 }, ttl),
        (Err(why), Err(_)) => return Answer::Failed(why),
    };
    match (families.is_empty(), failed) {
        (true, Some(why)) => Answer::Failed(why),
        (true, None) => Answer::None,
        (false, failed) => Answer::Found { families, ttl, failed },
    }
}

/// The addresses of one family and how long they are good; none where servers say that there are none.
async fn ask_one(
    dns: TokioResolver,
    name: Name,
    record: RecordType,
) -> Result<(Vec<IpAddr>, Duration), String> {
    match dns.lookup(name, record).await {
        Ok(found) => {
            let addresses = found.answers().iter().filter(|answer| answer.record_type() == record);
            let addresses: Vec<IpAddr> = addresses.filter_map(|answer| answer.data.ip_addr()).collect();
            let ttl = found.answers().iter().map(|answer| answer.ttl).min().unwrap_or(u32::MAX);
            let ttl = if addresses.is_empty() { u32::MAX } else { ttl };
            Ok((addresses, Duration::from_secs(u64::from(ttl))))
        }
        Err(error) if error.is_no_records_found() => Ok((Vec::new(), Duration::MAX)),
        Err(error) => Err(describe(&error)),
    }
}

fn describe(error: &NetError) -> String {
    match error {
        NetError::Timeout => "no name server answered in time".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(host: &str, search: &[&str], ndots: usize) -> Vec<String> {
        let search = search.iter().map(|domain| domain.parse().unwrap()).collect();
        let made = Made { dns: Err(String::new()), hosts: Hosts::default(), search, ndots };
        let name = Name::from_utf8(host).unwrap();
        made.candidates(&name).iter().map(Name::to_string).collect()
    }

    #[test]
    fn a_name_with_few_dots_is_tried_in_the_search_list_first() {
        let search = ["ns.svc.cluster.local.", "svc.cluster.local"];
        assert_eq!(
            candidates("api", &search, 5),
            ["api.ns.svc.cluster.local.", "api.svc.cluster.local.", "api."]
        );
        let far = candidates("api.example.com", &search, 2);
        assert_eq!(
            far,
            [
                "api.example.com.",
                "api.example.com.ns.svc.cluster.local.",
                "api.example.com.svc.cluster.local."
            ]
        );
    }

    #[test]
    fn a_name_that_ends_with_a_dot_is_tried_as_it_is() {
        assert_eq!(candidates("api.", &["example.com"], 5), ["api."]);
    }
}
