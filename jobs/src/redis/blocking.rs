//! [`Blocking`], the connection of a reader, and what is prepared when it is opened.

use std::time::Duration;

use super::failure::Failure;
use super::link::run;
use super::names::GROUP;
use super::reader::Reader;
use super::reply;
use super::script::Call;
use super::socket::Open;

/// How long a read blocks. A read that is no longer wanted is ended by `CLIENT UNBLOCK`.
const BLOCK: Duration = Duration::from_secs(5);

/// The same, if the user of the server may not use this command.
const SHORT_BLOCK: Duration = Duration::from_secs(1);

/// The connection of a reader.
#[derive(Debug)]
pub(super) struct Blocking {
    pub(super) open: Open,
    pub(super) id: i64,
    /// How long its reads block.
    pub(super) block: Duration,
}

impl Reader {
    /// Opens a connection that may block.
    pub(super) async fn connect(&self) -> Result<Blocking, Failure> {
        let open = self.shared.address.open(None, self.limit()).await?;
        self.is_drained.set(false);
        let id = open
            .send(redis::cmd("CLIENT").arg("ID"), self.limit())
            .await?;
        let id: i64 = reply::number(id).map_err(Failure::Other)?;
        // It does not block, so that this changes nothing.
        let mut unblock = redis::cmd("CLIENT");
        let block = match open
            .send(unblock.arg("UNBLOCK").arg(id), self.limit())
            .await
        {
            Ok(_) => BLOCK.min(self.limit()),
            Err(Failure::Server(_)) => SHORT_BLOCK,
            Err(failure) => return Err(failure),
        };
        self.check_rights(&open).await?;
        self.create_groups(&open).await?;
        self.find_lost().await?;
        if !self.has_connected.replace(true) {
            self.look.notify_one();
        }
        Ok(Blocking { open, id, block })
    }

    /// Checks that the user may also end the jobs that it may read.
    async fn check_rights(&self, open: &Open) -> Result<(), Failure> {
        let names = &self.shared.names;
        for place in &self.places {
            let call = Call::default()
                .text(&place.streams[0])
                .text(&place.streams[1])
                .text(&place.delayed)
                .text(&place.bodies)
                .text(&names.result(&self.shared.new_id().0))
                .text(&names.dead())
                .text(&names.letters());
            run(open, &self.shared.scripts.rights, &call, self.limit()).await?;
        }
        Ok(())
    }

    /// Creates the streams and their groups, unless they exist. A new group begins with the
    /// first entry: the stream may be older.
    pub(super) async fn create_groups(&self, open: &Open) -> Result<(), Failure> {
        for place in &self.places {
            let mut command = redis::cmd("XGROUP");
            command.arg("CREATE").arg(&place.streams[0]).arg(GROUP);
            command.arg("0").arg("MKSTREAM");
            match open.send(&command, self.limit()).await {
                Err(Failure::Server(error)) if error.code() == Some("BUSYGROUP") => {}
                answer => drop(answer?),
            }
            // Scripts create this stream and its group when they need it. The group alone is
            // missing if an administrator has deleted it.
            let mut command = redis::cmd("XGROUP");
            command.arg("CREATE").arg(&place.streams[1]).arg(GROUP);
            match open.send(command.arg("0"), self.limit()).await {
                Ok(_) | Err(Failure::Server(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}
