//! [`Address`], where the server is, and [`Open`], a connection to it.
//!
//! The client demands a stream that is `Send`, and a socket of a loop is not. So the client has
//! one end of a stream in memory, and a task copies between its other end and the socket.

use std::io;
use std::time::Duration;

use coreloop_net::{TcpStream, UnixStream};
use coreloop_runtime::task::JoinSet;
use coreloop_runtime::time::timeout;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, PushInfo,
    RedisConnectionInfo, RedisError, Value,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, copy_bidirectional};
use tokio::sync::mpsc::UnboundedSender;

use super::failure::Failure;
use super::silence::{ANSWER, Heard, Pulse};
use crate::error::{Error, Kind};

/// How many bytes may be in the stream in memory, in each direction.
const BUFFER: usize = 64 << 10;

/// How many commands may be on their way to the task that writes them.
const COMMANDS: usize = 256;

/// Where the server is, and as which user to connect.
#[derive(Debug)]
pub(super) struct Address {
    place: ConnectionAddr,
    login: RedisConnectionInfo,
}

impl Address {
    /// Parses `redis://[user][:password@]host[:port][/database]`, or `redis+unix://` or `unix://`
    /// with the path of a socket and `?user=…&pass=…&db=…`.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is neither, or if it demands TLS, which is not supported.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        if url.starts_with("rediss:") || url.starts_with("valkeys:") {
            let text = "Redis: TLS is not supported: use redis:// through a tunnel or in a \
                        private network";
            return Err(Error::new(Kind::Engine, text));
        }
        // The URL may hold a password, so that no error repeats it.
        let info = url.into_connection_info().map_err(|error| {
            let text = format!(
                "Redis: the URL is not of the form redis://[[user]:password@]host[:port][/database] \
                 or redis+unix:///path: {}",
                error.category()
            );
            Error::new(Kind::Engine, text)
        })?;
        let login = info.redis_settings().clone();
        Ok(Self {
            place: info.addr().clone(),
            login: login.set_protocol(ProtocolVersion::RESP2),
        })
    }

    /// Opens a connection. Messages of channels go to `messages`, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be reached within `limit`, or refuses the user.
    pub(super) async fn open(
        &self,
        messages: Option<UnboundedSender<PushInfo>>,
        limit: Duration,
    ) -> Result<Open, Failure> {
        match timeout(limit, self.open_now(messages)).await {
            Ok(opened) => opened,
            Err(_) => Err(Failure::Connection(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn open_now(&self, messages: Option<UnboundedSender<PushInfo>>) -> Result<Open, Failure> {
        let mut config = AsyncConnectionConfig::new()
            // The client's own deadlines need a runtime of tokio.
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_pipeline_buffer_size(COMMANDS);
        let mut login = self.login.clone();
        if let Some(messages) = messages {
            login = login.set_protocol(ProtocolVersion::RESP3);
            config = config.set_push_sender(messages);
        }
        let pulse = Pulse::new();
        let (near, far) = tokio::io::duplex(BUFFER);
        let mut tasks = JoinSet::new();
        match &self.place {
            ConnectionAddr::Tcp(host, port) => {
                let socket = TcpStream::connect((host.as_str(), *port)).await;
                let socket = socket.map_err(Failure::Connection)?;
                socket.set_nodelay(true).map_err(Failure::Connection)?;
                tasks.spawn(copy(socket, far, pulse.clone()));
            }
            ConnectionAddr::Unix(path) => {
                let socket = UnixStream::connect(path).await;
                let socket = socket.map_err(Failure::Connection)?;
                tasks.spawn(copy(socket, far, pulse.clone()));
            }
            // `parse` refuses all others.
            _ => return Err(Failure::Connection(io::ErrorKind::Unsupported.into())),
        }
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&login, near, config).await?;
        let ended = pulse.clone();
        tasks.spawn(async move {
            driver.await;
            ended.end();
        });
        Ok(Open {
            connection,
            pulse,
            _tasks: tasks,
        })
    }
}

/// Copies until the connection has ended.
async fn copy(socket: impl AsyncRead + AsyncWrite + Unpin, mut far: DuplexStream, pulse: Pulse) {
    let mut socket = Heard { socket, pulse };
    // The client notices at its end that the stream has ended.
    let _ = copy_bidirectional(&mut socket, &mut far).await;
}

/// A connection. It is closed when this is dropped.
#[derive(Debug)]
pub(super) struct Open {
    connection: MultiplexedConnection,
    pulse: Pulse,
    _tasks: JoinSet<()>,
}

impl Open {
    /// Returns whether the connection has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.pulse.has_ended()
    }

    /// Sends a command and waits for its answer, for as long as the server is not silent for
    /// `limit`.
    ///
    /// Not cancel safe: the server may run the command, and its answer is lost.
    pub(super) async fn send(&self, command: &Cmd, limit: Duration) -> Result<Value, Failure> {
        let mut connection = self.connection.clone();
        let answer = connection.send_packed_command(command);
        match self.pulse.answer(limit, answer).await? {
            // An array with an error in it has come as it was sent, which is right here.
            Ok(Value::ServerError(error)) => Err(RedisError::from(error).into()),
            answer => Ok(answer?),
        }
    }

    /// Subscribes to a channel. It needs a connection with messages.
    pub(super) async fn subscribe(&self, channel: &str) -> Result<(), Failure> {
        let mut connection = self.connection.clone();
        let answer = connection.subscribe(channel);
        Ok(self.pulse.answer(ANSWER, answer).await??)
    }
}
