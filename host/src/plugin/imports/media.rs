//! `media`: files of messages, and those that the plugin brings along.

use duet_rules::media::{Digest, upload_type};
use wasmtime::Result;

use crate::effect::Effect;
use crate::plugin::bindings::duet::plugin::media::{Attachment, File, Host};
use crate::plugin::fault::Stop;
use crate::plugin::guest_log::Level;
use crate::plugin::running::Running;
use crate::plugin::world::{self, NewFile};

/// So much is read at once.
const READ_BYTES_MAX: u32 = 1 << 20;
/// Meta's ids are shorter.
const MESSAGE_BYTES_MAX: usize = 512;

const NO_SUCH_FILE: &str = "there is no such file, or it has gone";

type Told<T> = std::result::Result<T, String>;

impl Host for Running {
    async fn of_message(
        &mut self,
        conversation: u64,
        message: String,
    ) -> Result<Option<Attachment>> {
        self.count_call()?;
        let found = self.attachment(conversation, &message).await?;
        Ok(found.map(|(_, attachment)| attachment.into()))
    }

    async fn await_file(&mut self, conversation: u64, message: String) -> Result<Told<()>> {
        self.count_call()?;
        let Some((conversation, _)) = self.attachment(conversation, &message).await? else {
            return Ok(Err(format!(
                "there is no message with a file of this id in conversation {conversation}"
            )));
        };
        self.buffer.act_once(Effect::AwaitFile {
            conversation,
            message,
        })?;
        Ok(Ok(()))
    }

    async fn get(&mut self, handle: String) -> Result<Option<File>> {
        self.count_call()?;
        Ok(self.file(&handle).await?.map(|(digest, file)| File {
            handle: digest.to_string(),
            mime_type: file.mime_type,
            bytes: file.bytes,
        }))
    }

    async fn read(&mut self, handle: String, offset: u64, length: u32) -> Result<Told<Vec<u8>>> {
        self.count_call()?;
        let Some((digest, file)) = self.file(&handle).await? else {
            return Ok(Err(NO_SUCH_FILE.to_owned()));
        };
        if let Err(refusal) = self.within(file.bytes) {
            return Ok(Err(refusal));
        }
        // Behind the end of a file no disk can look.
        if offset >= file.bytes {
            return Ok(Ok(Vec::new()));
        }
        let length = length.min(READ_BYTES_MAX);
        let read = self.world.read_file(digest, offset, length).await;
        let read = read.map_err(Stop::from)?;
        Ok(read.ok_or_else(|| NO_SUCH_FILE.to_owned()))
    }

    async fn keep(&mut self, bytes: Vec<u8>, mime_type: String) -> Result<Told<String>> {
        self.count_call()?;
        if !self.facts.media.is_some_and(|grant| grant.keep) {
            return Ok(Err(format!(
                "not granted; add keep = true to [plugins.{}.media]",
                self.facts.name
            )));
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let all = self.kept_bytes.saturating_add(length);
        let checked = self.within(all).and_then(|()| {
            upload_type(&mime_type).map_err(|problem| format!("the type {problem}"))
        });
        let mime_type = match checked {
            Ok(mime_type) => mime_type,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.kept_bytes = all;
        let kept = self.world.keep_file(NewFile { bytes, mime_type }).await;
        let kept = kept.map_err(Stop::from)?;
        if let Err(refusal) = &kept {
            self.log
                .write(Level::Info, &format!("a file is not kept: {refusal}"));
        }
        Ok(kept.map(|digest| digest.to_string()))
    }
}

impl Running {
    /// The file of a message, with the conversation's id.
    async fn attachment(
        &mut self,
        conversation: u64,
        message: &str,
    ) -> std::result::Result<Option<(i64, world::Attachment)>, Stop> {
        let Ok(conversation) = i64::try_from(conversation) else {
            return Ok(None);
        };
        // By its own numbers the gateway knows messages, too; they are none of Meta's.
        let is_row = message
            .strip_prefix('m')
            .is_some_and(|row| row.parse::<i64>().is_ok());
        if is_row || message.len() > MESSAGE_BYTES_MAX {
            return Ok(None);
        }
        let found = self.world.attachment(conversation, message).await?;
        Ok(found.map(|found| (conversation, found)))
    }

    /// A file that the plugin may know of.
    pub(super) async fn file(
        &mut self,
        handle: &str,
    ) -> std::result::Result<Option<(Digest, world::KeptFile)>, Stop> {
        let Some(digest) = Digest::read(handle) else {
            return Ok(None);
        };
        Ok(self.world.file(digest).await?.map(|file| (digest, file)))
    }

    /// Whether the grant lets it touch a file of so many bytes, or files taken together.
    pub(super) fn within(&self, bytes: u64) -> Told<()> {
        let max = self.facts.media.map_or(0, |grant| grant.bytes_max);
        if bytes <= max {
            return Ok(());
        }
        Err(format!(
            "{bytes} bytes of files are more than bytes_max = {max} of [plugins.{}.media]",
            self.facts.name
        ))
    }
}

impl From<world::Attachment> for Attachment {
    fn from(attachment: world::Attachment) -> Self {
        let mime_type = attachment.mime_type;
        let file = attachment.stored.map(|(digest, bytes)| File {
            handle: digest,
            mime_type: mime_type.clone().unwrap_or_default(),
            bytes,
        });
        Attachment {
            state: attachment.state,
            file,
            mime_type,
            filename: attachment.filename,
        }
    }
}
