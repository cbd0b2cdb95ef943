//! Under which names the server answers, and for which pages (design §4, Host and Origin).
//!
//! The Host rule keeps a foreign name that resolves to this machine (DNS rebinding) from reading
//! data in the browser of somebody who sits here; the Origin rule keeps a foreign page from acting
//! with the user's cookie.

use std::net::IpAddr;

use super::error::{Error, Fault};

/// The address that people use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicUrl {
    /// Whether cookies are marked `Secure`.
    pub(super) https: bool,
    /// Name and port as in a Host header, in lower case, without the scheme's own port.
    authority: String,
    /// `/prefix` without a slash at the end; empty when there is none.
    pub(super) prefix: String,
}

impl PublicUrl {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let wrong = || Error::PublicUrl { url: url.to_owned() };
        let (https, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(wrong()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let prefix = path.trim_end_matches('/');
        let plain = |c: char| c.is_ascii_graphic() && !"?#\"\\%".contains(c);
        if name_of(authority).is_empty() || authority.contains('@') || !rest.chars().all(plain) {
            return Err(wrong());
        }
        Ok(Self { https, authority: without_port(authority, https), prefix: prefix.to_owned() })
    }
}

/// Judges Host and Origin.
#[derive(Clone, Debug)]
pub(super) struct HostRules {
    pub(super) loopback_only: bool,
    pub(super) public: Option<PublicUrl>,
}

impl HostRules {
    /// Whether the server answers under `host` (a Host header); compared by name, never by port.
    pub(super) fn judge_host(&self, host: &str) -> Result<(), Fault> {
        let name = name_of(host).to_ascii_lowercase();
        let is_public =
            self.public.as_ref().is_some_and(|public| name_of(&public.authority) == name);
        let is_loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&name.as_str());
        let accepted = match (&self.public, self.loopback_only) {
            (_, true) => is_loopback || is_public,
            (Some(_), false) => is_loopback || is_public || is_address(&name),
            (None, false) => true,
        };
        if accepted { Ok(()) } else { Err(Fault::ForeignHost) }
    }

    /// Whether a page of `origin` may act on a server that it addressed as `host`.
    pub(super) fn judge_origin(&self, origin: Option<&str>, host: &str) -> Result<(), Fault> {
        let Some(origin) = origin else { return Ok(()) };
        let (https, authority) = match origin.split_once("://") {
            Some(("https", authority)) => (true, authority),
            Some(("http", authority)) => (false, authority),
            // `null`, extensions, files: nobody we know.
            _ => return Err(Fault::ForeignOrigin),
        };
        let authority = without_port(authority, https);
        let is_public = self
            .public
            .as_ref()
            .is_some_and(|public| public.authority == authority && public.https == https);
        if is_public || authority == without_port(host, https) {
            Ok(())
        } else {
            Err(Fault::ForeignOrigin)
        }
    }

    /// The path below the public prefix; `None` when it is the prefix without its slash, which
    /// would break the page's relative addresses. A proxy may have stripped the prefix already.
    pub(super) fn below_prefix<'a>(&self, path: &'a str) -> Option<&'a str> {
        let prefix = self.prefix();
        match path.strip_prefix(prefix) {
            _ if prefix.is_empty() => Some(path),
            Some("") => None,
            Some(rest) if rest.starts_with('/') => Some(rest),
            Some(_) | None => Some(path),
        }
    }

    pub(super) fn prefix(&self) -> &str {
        self.public.as_ref().map_or("", |public| &public.prefix)
    }
}

/// The name in `name:port`; an IPv6 address keeps its brackets.
fn name_of(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.find(']').map_or("", |end| &authority[..=end]);
    }
    authority.split_once(':').map_or(authority, |(name, _)| name)
}

fn is_address(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok()
}

/// Lower case, without the port that the scheme has anyway.
fn without_port(authority: &str, https: bool) -> String {
    let usual = if https { ":443" } else { ":80" };
    let lower = authority.to_ascii_lowercase();
    lower.strip_suffix(usual).map(str::to_owned).unwrap_or(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(loopback_only: bool, public: Option<&str>) -> HostRules {
        let public = public.map(|url| PublicUrl::parse(url).unwrap());
        HostRules { loopback_only, public }
    }

    #[test]
    fn hosts_are_judged_by_name() {
        let check = |loopback_only, public, host, accepted| {
            let judged = rules(loopback_only, public).judge_host(host).is_ok();
            assert_eq!(judged, accepted, "{loopback_only} {public:?} {host}");
        };
        let gauge = Some("https://gauge.example:8443/x");
        for (host, by_default) in [
            ("localhost", true),
            ("LOCALHOST:5000", true),
            ("127.0.0.1:1", true),
            ("[::1]:5000", true),
            ("192.0.2.7:5000", false),
            ("[2001:db8::1]", false),
            ("gauge.example", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            check(true, None, host, by_default);
            check(true, gauge, host, by_default || host == "gauge.example");
            check(false, None, host, true);
        }
        check(false, gauge, "192.0.2.7:5000", true);
        check(false, gauge, "[2001:db8::1]", true);
        check(false, gauge, "localhost", true);
        check(false, gauge, "gauge.example", true);
        check(false, gauge, "evil.example", false);
    }

    #[test]
    fn origins_are_absent_equal_or_public() {
        let check = |public, origin, host, accepted| {
            let judged = rules(true, public).judge_origin(origin, host).is_ok();
            assert_eq!(judged, accepted, "{public:?} {origin:?} {host}");
        };
        check(None, None, "localhost:5000", true);
        check(None, Some("http://localhost:5000"), "localhost:5000", true);
        check(None, Some("http://LOCALHOST:5000"), "localhost:5000", true);
        check(None, Some("http://localhost:5001"), "localhost:5000", false);
        check(None, Some("http://127.0.0.1:5000"), "localhost:5000", false);
        check(None, Some("null"), "localhost:5000", false);
        check(None, Some("https://gauge.example"), "gauge.example", true);
        check(None, Some("http://gauge.example"), "gauge.example:80", true);
        let gauge = Some("https://gauge.example/x/");
        check(gauge, Some("https://gauge.example"), "10.0.0.7:5000", true);
        check(gauge, Some("https://gauge.example:443"), "10.0.0.7:5000", true);
        check(gauge, Some("http://gauge.example"), "10.0.0.7:5000", false);
        check(gauge, Some("https://evil.example"), "10.0.0.7:5000", false);
    }

    #[test]
    fn the_prefix_is_optional() {
        let rules = rules(true, Some("https://gauge.example/x/"));
        assert_eq!(rules.below_prefix("/x/api/stats"), Some("/api/stats"));
        assert_eq!(rules.below_prefix("/api/stats"), Some("/api/stats"));
        assert_eq!(rules.below_prefix("/xy"), Some("/xy"));
        assert_eq!(rules.below_prefix("/x/"), Some("/"));
        assert_eq!(rules.below_prefix("/x"), None);
    }

    #[test]
    fn impossible_public_addresses_are_named() {
        for url in ["", "gauge.example", "ftp://a", "https://", "https://u@a", "https://a/?x"] {
            let error = PublicUrl::parse(url).unwrap_err();
            assert!(error.to_string().contains(&format!("{url:?}")), "{url}");
        }
    }
}
