use std::time::Duration;

use anyhow::{Context, anyhow};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::Letter;
use crate::config::{AlarmMail, MailSecurity, Secret};

const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Mails to the admins.
pub(super) struct Mail {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Mail {
    pub(super) fn new(
        settings: Option<&AlarmMail>,
        password: Option<&Secret>,
    ) -> anyhow::Result<Option<Mail>> {
        let Some(settings) = settings else {
            return Ok(None);
        };
        let tls = || TlsParameters::new(settings.host.clone());
        let security = match settings.security {
            MailSecurity::StartTls => Tls::Required(tls()?),
            MailSecurity::Tls => Tls::Wrapper(tls()?),
            MailSecurity::None => Tls::None,
        };
        let host = settings.host.clone();
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(settings.port)
            .timeout(Some(ANSWER_MAX))
            .tls(security);
        if let (Some(user), Some(password)) = (&settings.user, password) {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            server = server.credentials(credentials);
        }
        Ok(Some(Mail {
            server: server.build(),
            from: mailbox(&settings.from)?,
            to: settings
                .to
                .iter()
                .map(|to| mailbox(to))
                .collect::<Result<_, _>>()?,
        }))
    }

    /// Its Message-ID is the same at each attempt, so that mail servers know a repetition.
    pub(super) async fn leave(&self, letter: &Letter) -> Result<(), String> {
        let mut mail = Message::builder()
            .from(self.from.clone())
            .subject(letter.notice.title())
            .message_id(Some(format!("<{}@duet>", letter.id)))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let mail = mail
            .body(letter.notice.text())
            .map_err(|error| error.to_string())?;
        let sent = self.server.send(mail).await;
        sent.map(drop)
            .map_err(|error| format!("{:#}", anyhow!(error)))
    }
}

fn mailbox(text: &str) -> anyhow::Result<Mailbox> {
    text.parse()
        .with_context(|| format!("{text} in [alarms] is no mail address"))
}
