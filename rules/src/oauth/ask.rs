use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded::{Serializer, byte_serialize};

/// How a client shows who it is (RFC 6749, 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// In the form, which most providers take and some alone.
    #[default]
    Body,
    /// In the header `Authorization`.
    Basic,
}

/// What a token is asked for with.
pub struct Ask<'a> {
    pub client_id: &'a str,
    pub client_secret: &'a str,
    pub client_auth: ClientAuth,
    /// Without one the client asks for itself (RFC 6749, 4.4).
    pub refresh_token: Option<&'a str>,
    pub scope: Option<&'a str>,
}

/// The request as it leaves: it is shown nowhere.
pub struct Asked {
    pub authorization: Option<String>,
    /// In `application/x-www-form-urlencoded`.
    pub body: String,
}

impl Ask<'_> {
    #[must_use]
    pub fn request(&self) -> Asked {
        let mut form = Serializer::new(String::new());
        match self.refresh_token {
            Some(token) => form
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", token),
            None => form.append_pair("grant_type", "client_credentials"),
        };
        if let Some(scope) = self.scope {
            form.append_pair("scope", scope);
        }
        let authorization = match self.client_auth {
            ClientAuth::Body => {
                form.append_pair("client_id", self.client_id)
                    .append_pair("client_secret", self.client_secret);
                None
            }
            ClientAuth::Basic => {
                let [id, secret] = [self.client_id, self.client_secret]
                    .map(|text| byte_serialize(text.as_bytes()).collect::<String>());
                Some(format!(
                    "Basic {}",
                    STANDARD.encode(format!("{id}:{secret}"))
                ))
            }
        };
        Asked {
            authorization,
            body: form.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: Ask<'_> = Ask {
        client_id: "me",
        client_secret: "s:e&c",
        client_auth: ClientAuth::Body,
        refresh_token: Some("r+1"),
        scope: None,
    };

    #[test]
    fn a_request_is_what_the_rfc_says() {
        let in_body = ASK.request();
        assert_eq!(in_body.authorization, None);
        assert_eq!(
            in_body.body,
            "grant_type=refresh_token&refresh_token=r%2B1&client_id=me&client_secret=s%3Ae%26c"
        );
        let basic = Ask {
            client_auth: ClientAuth::Basic,
            refresh_token: None,
            scope: Some("a b"),
            ..ASK
        };
        let basic = basic.request();
        let expect = format!("Basic {}", STANDARD.encode("me:s%3Ae%26c"));
        assert_eq!(basic.authorization, Some(expect));
        assert_eq!(basic.body, "grant_type=client_credentials&scope=a+b");
    }
}
