use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use duet_rules::outbound::{Reach, is_public};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

const CONNECT_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Connections to one host that are kept for the next call, and how long.
const IDLE_MAX: usize = 8;
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);

/// Why a name is not called.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to a private address")]
struct LeadsInside;

/// A client for one purpose. The process must have installed a rustls provider before.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client(reach: Reach) -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_MAX)
        .timeout(ANSWER_MAX)
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(IDLE_TIME_MAX)
        .user_agent(concat!("duet/", env!("CARGO_PKG_VERSION")));
    match reach {
        Reach::Public => builder.dns_resolver(PublicOnly).build(),
        Reach::Anywhere => builder.build(),
    }
}

/// Whether an address that is written out may be called; a name is looked at when it is resolved.
pub fn may_call(url: &Url, reach: Reach) -> bool {
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
    reach == Reach::Anywhere || literal.map_or(true, is_public)
}

/// Whether a call was not made because its name leads to a private address.
pub(super) fn leads_inside(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<LeadsInside>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// A name with one private address among others may be somebody's trick: then none of them counts.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Addrs = Box::new(all_public(found.collect())?.into_iter());
            Ok(found)
        })
    }
}

fn all_public(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, LeadsInside> {
    if found.iter().any(|address| !is_public(address.ip())) {
        return Err(LeadsInside);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_one_private_address_leads_nowhere() {
        let public: SocketAddr = "8.8.8.8:443".parse().unwrap();
        assert_eq!(all_public(vec![public]).unwrap(), [public]);
        for private in [
            "127.0.0.1:443",
            "[fd00::1]:443",
            "[::ffff:169.254.169.254]:443",
        ] {
            let private = private.parse().unwrap();
            assert!(all_public(vec![public, private]).is_err(), "{private}");
            assert!(all_public(vec![private, public]).is_err(), "{private}");
        }
    }

    #[tokio::test]
    async fn a_private_address_is_called_neither_by_name_nor_written_out() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for (url, public) in [
            ("http://127.0.0.1:9/", false),
            ("http://[::1]:9/", false),
            ("http://[::ffff:10.0.0.1]/", false),
            ("http://0x7f.1/", false),
            ("http://8.8.8.8/", true),
        ] {
            let url: Url = url.parse().unwrap();
            assert_eq!(may_call(&url, Reach::Public), public, "{url}");
            assert!(may_call(&url, Reach::Anywhere));
        }
        let refused = client(Reach::Public).unwrap().get("http://localhost:9/");
        let refused = refused.send().await.unwrap_err();
        assert!(leads_inside(&refused), "{refused:?}");
        let reached = client(Reach::Anywhere).unwrap().get("http://localhost:9/");
        let reached = reached.send().await.unwrap_err();
        assert!(!leads_inside(&reached), "{reached:?}");
    }
}
