use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::instance::name_is_valid;
use super::oauth::{self, OAuthGrant};
use crate::outbound::{Allow, Method, Origin, Reach};
use crate::toml_file::{Field, Findings, Section, quoted};

const ALLOW_MAX: usize = 100;
const SECRETS_MAX: usize = 20;

/// `duet:plugin/http`: may call outside systems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpGrant {
    /// Where to; never empty.
    pub allow: Vec<Allow>,
    /// Whether a host that is named in full may lie in the network around the gateway.
    pub private: bool,
    /// By the names that the plugin gives them.
    pub secrets: BTreeMap<String, SecretGrant>,
}

/// A secret that the host puts into calls; the plugin never sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretGrant {
    pub value: SecretValue,
    /// Where it may go: each lies within `allow`.
    pub hosts: Vec<Origin>,
}

/// What a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretValue {
    /// What stands there.
    Kept(SecretSource),
    /// An access token that is got with what stands there.
    OAuth(Box<OAuthGrant>),
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable of the gateway's.
    Env(String),
    /// A file that holds nothing else, relative to the folder of `plugins.toml`.
    File(PathBuf),
}

impl HttpGrant {
    /// How far a call to a URL from [`target`](crate::outbound::target) may reach; `None` when it is not allowed.
    #[must_use]
    pub fn reach(&self, method: Method, url: &Url) -> Option<Reach> {
        let permitted = self.allow.iter().filter(|allow| allow.permits(method, url));
        let reach = permitted.map(|allow| self.private && allow.origin().is_exact());
        let anywhere = reach.reduce(|one, other| one || other)?;
        Some(if anywhere {
            Reach::Anywhere
        } else {
            Reach::Public
        })
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Env(name) => f.write_str(name),
            SecretSource::File(path) => path.display().fmt(f),
        }
    }
}

impl SecretGrant {
    /// Everything that is read for it.
    pub fn sources(&self) -> impl Iterator<Item = &SecretSource> {
        let (one, other) = match &self.value {
            SecretValue::Kept(source) => (source, None),
            SecretValue::OAuth(oauth) => (&oauth.client_secret, oauth.refresh_token.as_ref()),
        };
        std::iter::once(one).chain(other)
    }
}

/// The grant, and the lines of its secrets.
pub(super) fn read(
    section: &mut Section<'_>,
    findings: &mut Findings<'_>,
) -> (HttpGrant, BTreeMap<String, usize>) {
    let allow = read_allow(section, findings);
    let private = section.boolean("private", findings).unwrap_or(false);
    for (entry, offset) in allow.iter().filter(|_| !private) {
        if entry.origin().is_private() {
            let message = format!("{entry} is an address of the network around the gateway");
            findings.add(
                *offset,
                message,
                format!(
                    "take it out, or add to [{}]: private = true",
                    section.path()
                ),
            );
        }
    }
    let allow: Vec<Allow> = allow.into_iter().map(|(entry, _)| entry).collect();
    let (mut secrets, mut lines) = (BTreeMap::new(), BTreeMap::new());
    let table = section.table("secrets", findings);
    let fields = table.map(|table| table.fields()).unwrap_or_default();
    if let Some(surplus) = fields.get(SECRETS_MAX) {
        let message = format!("[{}.secrets] has {} secrets", section.path(), fields.len());
        findings.add(surplus.offset, message, format!("keep it to {SECRETS_MAX}"));
    }
    for field in fields.iter().take(SECRETS_MAX) {
        if let Some(secret) = read_secret(field, &allow, private, findings) {
            lines.insert(field.key.to_owned(), findings.line(field.offset));
            secrets.insert(field.key.to_owned(), secret);
        }
    }
    let grant = HttpGrant {
        allow,
        private,
        secrets,
    };
    (grant, lines)
}

fn read_allow(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<(Allow, usize)> {
    let Some(field) = section.field("allow") else {
        let message = format!("[{}] has no allow", section.path());
        findings.add(
            section.offset(),
            message,
            "add where it may call, such as: allow = [\"https://api.example.com\"]",
        );
        return Vec::new();
    };
    let mut allow = Vec::new();
    for (text, offset) in field.strings(ALLOW_MAX, findings).unwrap_or_default() {
        match text.parse::<Allow>() {
            Ok(entry) => allow.push((entry, offset)),
            Err(reason) => {
                let message = format!("{} in {}: {reason}", quoted(text), field.name());
                findings.add(
                    offset,
                    message,
                    "correct it, such as \"https://api.example.com\" or \"GET POST https://*.example.com\"",
                );
            }
        }
    }
    allow
}

fn read_secret(
    field: &Field<'_>,
    allow: &[Allow],
    private: bool,
    findings: &mut Findings<'_>,
) -> Option<SecretGrant> {
    if !name_is_valid(field.key) {
        findings.add(
            field.offset,
            format!("{} is no name for a secret", quoted(field.key)),
            "use the name that the plugin gives it: 1 to 63 of a-z, 0-9 and -",
        );
    }
    let mut table = field.table(findings)?;
    let oauth = table.field("oauth");
    let value = match read_source(&mut table, "env, file and oauth", oauth.is_some(), findings) {
        Some(source) => Some(SecretValue::Kept(source)),
        None => oauth
            .and_then(|oauth| oauth::read(&oauth, private, findings))
            .map(|oauth| SecretValue::OAuth(Box::new(oauth))),
    };
    let hosts = read_hosts(&mut table, allow, findings);
    table.finish(findings);
    Some(SecretGrant {
        value: value?,
        hosts,
    })
}

/// From `env` or `file`, unless something else stands there `instead`; `kinds` are all that may.
pub(super) fn read_source(
    table: &mut Section<'_>,
    kinds: &str,
    instead: bool,
    findings: &mut Findings<'_>,
) -> Option<SecretSource> {
    let env = table.field("env");
    let file = table.field("file");
    match (env, file, instead) {
        (Some(env), None, false) => read_env(&env, findings),
        (None, Some(file), false) => read_file(&file, findings),
        (None, None, true) => None,
        _ => {
            findings.add(
                table.offset(),
                format!("[{}] needs exactly one of {kinds}", table.path()),
                "name an environment variable with env = \"…\", or a file with file = \"…\"",
            );
            None
        }
    }
}

fn read_env(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<SecretSource> {
    const BYTES_MAX: usize = 256;
    /// Duet's own secrets stand under it.
    const OWN: &str = "DUET_";
    let name = field.string(findings)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.len() > BYTES_MAX || !name.bytes().all(plain) {
        let message = format!("{} is {}", field.name(), quoted(name));
        findings.add(
            field.offset,
            message,
            "give the name of an environment variable, of letters, digits and _",
        );
        return None;
    }
    if name.starts_with(OWN) {
        let message = format!(
            "{} is {}, a variable of Duet's own",
            field.name(),
            quoted(name)
        );
        findings.add(
            field.offset,
            message,
            "no plugin uses Duet's secrets; put this one into a variable of another name",
        );
        return None;
    }
    Some(SecretSource::Env(name.to_owned()))
}

fn read_file(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<SecretSource> {
    const BYTES_MAX: usize = 4096;
    let path = field.string(findings)?;
    if path.is_empty() || path.len() > BYTES_MAX || path.contains(char::is_control) {
        findings.add(
            field.offset,
            format!("{} is {}", field.name(), quoted(path)),
            "give the path of a file that holds nothing but the secret",
        );
        return None;
    }
    Some(SecretSource::File(PathBuf::from(path)))
}

fn read_hosts(
    table: &mut Section<'_>,
    allow: &[Allow],
    findings: &mut Findings<'_>,
) -> Vec<Origin> {
    let Some(field) = table.field("hosts") else {
        findings.add(
            table.offset(),
            format!("[{}] has no hosts", table.path()),
            "add where the secret may go, such as: hosts = [\"https://api.example.com\"]",
        );
        return Vec::new();
    };
    let mut hosts = Vec::new();
    for (text, offset) in field.strings(ALLOW_MAX, findings).unwrap_or_default() {
        match text.parse::<Origin>() {
            Ok(origin) if allow.iter().any(|entry| entry.origin().covers(&origin)) => {
                hosts.push(origin);
            }
            Ok(origin) => findings.add(
                offset,
                format!("{origin} in {} is not within allow", field.name()),
                "add it to allow, or take it out here",
            ),
            Err(reason) => {
                let message = format!("{} in {}: {reason}", quoted(text), field.name());
                findings.add(offset, message, "write it as in allow, without methods");
            }
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::super::tests::instance;
    use super::*;
    use crate::outbound::target;

    const HEAD: &str = "[plugins.crm]\ncomponent = 'c'\n";

    fn told(http: &str) -> String {
        let outcome = parse("plugins.toml", format!("{HEAD}{http}\n"));
        let told: Vec<_> = outcome.problems.iter().map(ToString::to_string).collect();
        told.join("\n")
    }

    #[test]
    fn a_grant_is_read_as_written() {
        let crm = instance(&format!(
            "{HEAD}[plugins.crm.http]\nallow = ['https://api.example.com', 'GET POST https://*.example.org:8443']\nprivate = true\n\
             [plugins.crm.http.secrets.token]\nenv = 'CRM_TOKEN'\nhosts = ['https://api.example.com', 'https://a.example.org:8443']\n\
             [plugins.crm.http.secrets.hook]\nfile = 'secrets/hook'\nhosts = ['https://*.example.org:8443']\n"
        ));
        assert_eq!(
            crm.secret_lines,
            [("token".into(), 6), ("hook".into(), 9)].into()
        );
        let http = crm.grants.http.unwrap();
        let allow: Vec<_> = http.allow.iter().map(ToString::to_string).collect();
        assert_eq!(
            allow,
            [
                "https://api.example.com",
                "GET POST https://*.example.org:8443"
            ]
        );
        let source = |name: &str| match &http.secrets.get(name)?.value {
            SecretValue::Kept(source) => Some(source),
            SecretValue::OAuth(_) => None,
        };
        assert_eq!(
            source("token"),
            Some(&SecretSource::Env("CRM_TOKEN".into()))
        );
        assert_eq!(
            source("hook"),
            Some(&SecretSource::File("secrets/hook".into()))
        );
        for (method, url, reach) in [
            (
                Method::Put,
                "https://api.example.com/a",
                Some(Reach::Anywhere),
            ),
            (
                Method::Get,
                "https://a.example.org:8443/",
                Some(Reach::Public),
            ),
            (Method::Put, "https://a.example.org:8443/", None),
            (Method::Get, "http://api.example.com/", None),
        ] {
            assert_eq!(http.reach(method, &target(url).unwrap()), reach, "{url}");
        }
        let careful = HttpGrant {
            private: false,
            ..http
        };
        let url = target("https://api.example.com").unwrap();
        assert_eq!(careful.reach(Method::Get, &url), Some(Reach::Public));
    }

    #[test]
    fn a_slip_is_told_with_its_line_and_the_remedy() {
        let secret = "[plugins.crm.http]\nallow = ['https://a.example.com']\n[plugins.crm.http.secrets.token]\n";
        for (text, expect) in [
            (
                "[plugins.crm.http]".to_owned(),
                r#"plugins.toml:3: [plugins.crm.http] has no allow; add where it may call, such as: allow = ["https://api.example.com"]"#,
            ),
            (
                "[plugins.crm.http]\nallow = []".to_owned(),
                "plugins.toml:4: allow in [plugins.crm.http] is an empty list; name at least one, or remove the key",
            ),
            (
                "[plugins.crm.http]\nallow = ['https://*']".to_owned(),
                r#"plugins.toml:4: "https://*" in allow in [plugins.crm.http]: after *. give a name with a dot in it, such as *.example.com; correct it, such as "https://api.example.com" or "GET POST https://*.example.com""#,
            ),
            (
                "[plugins.crm.http]\nallow = [\n'https://a.example.com',\n'http://127.0.0.1:81']".to_owned(),
                "plugins.toml:6: http://127.0.0.1:81 is an address of the network around the gateway; take it out, or add to [plugins.crm.http]: private = true",
            ),
            (
                "[plugins.crm.http]\nhosts = 1\nallow = ['https://a.example.com']".to_owned(),
                r#"plugins.toml:4: unknown key "hosts" in [plugins.crm.http]; remove it; known keys: allow, private, secrets"#,
            ),
            (
                format!("{secret}env = 'DUET_ACCESS_TOKEN'\nhosts = ['https://a.example.com']"),
                r#"plugins.toml:6: env in [plugins.crm.http.secrets.token] is "DUET_ACCESS_TOKEN", a variable of Duet's own; no plugin uses Duet's secrets; put this one into a variable of another name"#,
            ),
            (
                format!("{secret}env = 'A B'\nhosts = ['https://a.example.com']"),
                r#"plugins.toml:6: env in [plugins.crm.http.secrets.token] is "A B"; give the name of an environment variable, of letters, digits and _"#,
            ),
            (
                format!("{secret}env = 'A'\nfile = 'b'\nhosts = ['https://a.example.com']"),
                r#"plugins.toml:5: [plugins.crm.http.secrets.token] needs exactly one of env, file and oauth; name an environment variable with env = "…", or a file with file = "…""#,
            ),
            (
                format!("{secret}env = 'A'\nhosts = ['https://a.example.com']\n[plugins.crm.http.secrets.token.oauth]\ntoken_url = 'https://a.example.com/t'\nclient_id = 'i'\nclient_secret = {{ env = 'B' }}"),
                r#"plugins.toml:5: [plugins.crm.http.secrets.token] needs exactly one of env, file and oauth; name an environment variable with env = "…", or a file with file = "…""#,
            ),
            (
                format!("{secret}value = 'hunter2'\nenv = 'A'\nhosts = ['https://a.example.com']"),
                r#"plugins.toml:6: unknown key "value" in [plugins.crm.http.secrets.token]; remove it; known keys: oauth, env, file, hosts"#,
            ),
            (
                format!("{secret}env = 'A'"),
                r#"plugins.toml:5: [plugins.crm.http.secrets.token] has no hosts; add where the secret may go, such as: hosts = ["https://api.example.com"]"#,
            ),
            (
                format!("{secret}env = 'A'\nhosts = ['https://b.example.com']"),
                "plugins.toml:7: https://b.example.com in hosts in [plugins.crm.http.secrets.token] is not within allow; add it to allow, or take it out here",
            ),
            (
                format!("{secret}env = 'A'\nhosts = ['a.example.com']"),
                r#"plugins.toml:7: "a.example.com" in hosts in [plugins.crm.http.secrets.token]: write scheme, host and port alone, such as https://api.example.com or https://*.example.com; write it as in allow, without methods"#,
            ),
            (
                "[plugins.crm.http]\nallow = ['https://a.example.com']\nsecrets.Token = {env = 'A', hosts = ['https://a.example.com']}".to_owned(),
                r#"plugins.toml:5: "Token" is no name for a secret; use the name that the plugin gives it: 1 to 63 of a-z, 0-9 and -"#,
            ),
        ] {
            assert_eq!(told(&text), expect, "of {text}");
        }
    }
}
