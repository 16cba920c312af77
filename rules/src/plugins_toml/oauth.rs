use url::Url;

use super::http::{SecretSource, read_source};
use crate::oauth::ClientAuth;
use crate::outbound::{Origin, Reach, target};
use crate::toml_file::{Field, Findings, Section, quoted};

/// An OAuth 2 access token that the host gets and renews: `[plugins.<name>.http.secrets.<secret>.oauth]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthGrant {
    /// From [`target`].
    pub token_url: Url,
    /// Where its addresses may lie.
    pub reach: Reach,
    pub client_id: String,
    pub client_secret: SecretSource,
    /// The one to begin with. Without one the client asks for itself.
    pub refresh_token: Option<SecretSource>,
    pub scope: Option<String>,
    pub client_auth: ClientAuth,
}

/// `private`: whether the grant's hosts may lie in the network around the gateway.
pub(super) fn read(
    field: &Field<'_>,
    private: bool,
    findings: &mut Findings<'_>,
) -> Option<OAuthGrant> {
    let mut table = field.table(findings)?;
    let token_url = needed(&mut table, "token_url", findings)
        .and_then(|field| read_token_url(&field, private, findings));
    let client_id =
        needed(&mut table, "client_id", findings).and_then(|field| read_text(&field, findings));
    let client_secret = needed(&mut table, "client_secret", findings)
        .and_then(|field| read_credential(&field, findings));
    let refresh_token = table.field("refresh_token");
    let refresh_token = refresh_token.map(|field| read_credential(&field, findings));
    let scope = table
        .field("scope")
        .and_then(|field| read_text(&field, findings));
    let client_auth = table.field("client_auth");
    let client_auth = client_auth.map(|field| read_client_auth(&field, findings));
    table.finish(findings);
    Some(OAuthGrant {
        token_url: token_url?,
        reach: if private {
            Reach::Anywhere
        } else {
            Reach::Public
        },
        client_id: client_id?,
        client_secret: client_secret?,
        // A slip in it is no word that there is none.
        refresh_token: match refresh_token {
            Some(source) => Some(source?),
            None => None,
        },
        scope,
        client_auth: client_auth.unwrap_or_default(),
    })
}

fn needed<'d>(
    table: &mut Section<'d>,
    key: &'static str,
    findings: &mut Findings<'_>,
) -> Option<Field<'d>> {
    let field = table.field(key);
    if field.is_none() {
        let example = match key {
            "token_url" => "\"https://accounts.example.com/oauth/token\"",
            "client_id" => "\"…\", as the provider has given it",
            _ => "{ env = \"…\" } or { file = \"…\" }",
        };
        findings.add(
            table.offset(),
            format!("[{}] has no {key}", table.path()),
            format!("add {key} = {example}"),
        );
    }
    field
}

fn read_token_url(field: &Field<'_>, private: bool, findings: &mut Findings<'_>) -> Option<Url> {
    let text = field.string(findings)?;
    let url = match target(text) {
        Ok(url) => url,
        Err(reason) => {
            let message = format!("{} in {}: {reason}", quoted(text), field.name());
            findings.add(field.offset, message, "give the provider's token URL");
            return None;
        }
    };
    let origin = url.origin().ascii_serialization().parse::<Origin>();
    let inside = origin.is_ok_and(|origin| origin.is_private());
    if !private && (inside || url.scheme() != "https") {
        let message = match inside {
            true => format!(
                "{} is an address of the network around the gateway",
                field.name()
            ),
            false => format!("{} is no https URL", field.name()),
        };
        let remedy = "give one of https://, or for one around the gateway private = true in the table of the grant http";
        findings.add(field.offset, message, remedy);
        return None;
    }
    Some(url)
}

/// A table with `env` or `file`.
fn read_credential(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<SecretSource> {
    let mut table = field.table(findings)?;
    let source = read_source(&mut table, "env and file", false, findings);
    table.finish(findings);
    source
}

fn read_text(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    const BYTES_MAX: usize = 2048;
    let text = field.string(findings)?;
    if text.is_empty() || text.len() > BYTES_MAX || text.contains(char::is_control) {
        findings.add(
            field.offset,
            format!("{} is {}", field.name(), quoted(text)),
            "write it in one line, as the provider has it",
        );
        return None;
    }
    Some(text.to_owned())
}

fn read_client_auth(field: &Field<'_>, findings: &mut Findings<'_>) -> ClientAuth {
    match field.string(findings) {
        Some("basic") => ClientAuth::Basic,
        Some("body") | None => ClientAuth::Body,
        Some(word) => {
            let message = format!("{} is {}", field.name(), quoted(word));
            findings.add(field.offset, message, "write \"body\" or \"basic\"");
            ClientAuth::Body
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::http::SecretValue;
    use super::super::parse;
    use super::super::tests::instance;
    use super::*;

    const HEAD: &str =
        "[plugins.crm]\ncomponent = 'c'\n[plugins.crm.http]\nallow = ['https://a.example.com']\n";
    const SECRET: &str = "[plugins.crm.http.secrets.token]\nhosts = ['https://a.example.com']\n";
    const TABLE: &str = "[plugins.crm.http.secrets.token.oauth]\n";

    fn told(head: &str, oauth: &str) -> String {
        let outcome = parse("plugins.toml", format!("{head}{SECRET}{TABLE}{oauth}\n"));
        let told: Vec<_> = outcome.problems.iter().map(ToString::to_string).collect();
        told.join("\n")
    }

    fn read(head: &str, oauth: &str) -> OAuthGrant {
        let crm = instance(&format!("{head}{SECRET}{TABLE}{oauth}\n"));
        let files: Vec<_> = crm.paths().map(|path| path.display().to_string()).collect();
        assert_eq!(files, ["c", "secrets/refresh"]);
        match crm
            .grants
            .http
            .unwrap()
            .secrets
            .remove("token")
            .unwrap()
            .value
        {
            SecretValue::OAuth(oauth) => *oauth,
            SecretValue::Kept(_) => panic!("a token"),
        }
    }

    #[test]
    fn a_token_is_read_as_written() {
        let text = "token_url = 'https://accounts.zoho.eu/oauth/v2/token'\nclient_id = '1000.A'\n\
                    client_secret = { env = 'CLIENT' }\nrefresh_token = { file = 'secrets/refresh' }";
        let plain = read(HEAD, text);
        let expect = OAuthGrant {
            token_url: target("https://accounts.zoho.eu/oauth/v2/token").unwrap(),
            reach: Reach::Public,
            client_id: "1000.A".into(),
            client_secret: SecretSource::Env("CLIENT".into()),
            refresh_token: Some(SecretSource::File("secrets/refresh".into())),
            scope: None,
            client_auth: ClientAuth::Body,
        };
        assert_eq!(plain, expect);
        let private = format!("{HEAD}private = true\n");
        let text = text.replace("https://accounts.zoho.eu", "http://127.0.0.1:81");
        let more = read(
            &private,
            &format!("{text}\nscope = 'a b'\nclient_auth = 'basic'"),
        );
        let expect = OAuthGrant {
            token_url: target("http://127.0.0.1:81/oauth/v2/token").unwrap(),
            reach: Reach::Anywhere,
            scope: Some("a b".into()),
            client_auth: ClientAuth::Basic,
            ..expect
        };
        assert_eq!(more, expect);
    }

    #[test]
    fn a_slip_is_told_with_its_line_and_the_remedy() {
        let whole = "token_url = 'https://a.example.com/token'\nclient_id = 'i'\nclient_secret = { env = 'C' }";
        assert_eq!(told(HEAD, whole), "");
        for (text, expect) in [
            (
                "",
                "plugins.toml:7: [plugins.crm.http.secrets.token.oauth] has no token_url; add token_url = \"https://accounts.example.com/oauth/token\"\n\
                 plugins.toml:7: [plugins.crm.http.secrets.token.oauth] has no client_id; add client_id = \"…\", as the provider has given it\n\
                 plugins.toml:7: [plugins.crm.http.secrets.token.oauth] has no client_secret; add client_secret = { env = \"…\" } or { file = \"…\" }",
            ),
            (
                &whole.replace("https://a.example.com", "http://a.example.com"),
                "plugins.toml:8: token_url in [plugins.crm.http.secrets.token.oauth] is no https URL; give one of https://, or for one around the gateway private = true in the table of the grant http",
            ),
            (
                &whole.replace("a.example.com", "10.0.0.1"),
                "plugins.toml:8: token_url in [plugins.crm.http.secrets.token.oauth] is an address of the network around the gateway; give one of https://, or for one around the gateway private = true in the table of the grant http",
            ),
            (
                &whole.replace("https://a", "https://me@a"),
                r#"plugins.toml:8: "https://me@a.example.com/token" in token_url in [plugins.crm.http.secrets.token.oauth]: the URL has a user or a password; name a secret for it instead; give the provider's token URL"#,
            ),
            (
                &whole.replace("{ env = 'C' }", "'hunter2'"),
                "plugins.toml:10: client_secret in [plugins.crm.http.secrets.token.oauth] is a string; write it as a table: [plugins.crm.http.secrets.token.oauth.client_secret]",
            ),
            (
                &whole.replace("{ env = 'C' }", "{ env = 'DUET_APP_SECRET' }"),
                r#"plugins.toml:10: env in [plugins.crm.http.secrets.token.oauth.client_secret] is "DUET_APP_SECRET", a variable of Duet's own; no plugin uses Duet's secrets; put this one into a variable of another name"#,
            ),
            (
                &format!("{whole}\nrefresh_token = {{}}"),
                r#"plugins.toml:11: [plugins.crm.http.secrets.token.oauth.refresh_token] needs exactly one of env and file; name an environment variable with env = "…", or a file with file = "…""#,
            ),
            (
                &format!("{whole}\nclient_auth = 'post'\nscopes = 'a'"),
                "plugins.toml:11: client_auth in [plugins.crm.http.secrets.token.oauth] is \"post\"; write \"body\" or \"basic\"\n\
                 plugins.toml:12: unknown key \"scopes\" in [plugins.crm.http.secrets.token.oauth]; did you mean scope?",
            ),
        ] {
            assert_eq!(told(HEAD, text), expect, "of {text}");
        }
    }
}
