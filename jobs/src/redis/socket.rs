//! [`Address`], where the server is, and [`Open`], a connection to it.
//!
//! The client demands a stream that is `Send`, and a socket of a loop is not. So the client has
//! one end of a stream in memory, and a task copies between its other end and the socket.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
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
use crate::error::{Error, Kind};

/// How long opening a connection may take, and how long the server may take to answer a command
/// that does not block.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

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
    /// Returns an error if the server cannot be reached within 10 seconds, or refuses the user.
    pub(super) async fn open(
        &self,
        messages: Option<UnboundedSender<PushInfo>>,
    ) -> Result<Open, Failure> {
        match timeout(ANSWER, self.open_now(messages)).await {
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
        let (near, far) = tokio::io::duplex(BUFFER);
        let mut tasks = JoinSet::new();
        match &self.place {
            ConnectionAddr::Tcp(host, port) => {
                let socket = TcpStream::connect((host.as_str(), *port)).await;
                let socket = socket.map_err(Failure::Connection)?;
                socket.set_nodelay(true).map_err(Failure::Connection)?;
                tasks.spawn(copy(socket, far));
            }
            ConnectionAddr::Unix(path) => {
                let socket = UnixStream::connect(path).await;
                tasks.spawn(copy(socket.map_err(Failure::Connection)?, far));
            }
            // `parse` refuses all others.
            _ => return Err(Failure::Connection(io::ErrorKind::Unsupported.into())),
        }
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&login, near, config).await?;
        let ended = Rc::new(Cell::new(false));
        let flag = Rc::clone(&ended);
        tasks.spawn(async move {
            driver.await;
            flag.set(true);
        });
        Ok(Open {
            connection,
            ended,
            _tasks: tasks,
        })
    }
}

/// Copies until the connection has ended.
async fn copy(mut socket: impl AsyncRead + AsyncWrite + Unpin, mut far: DuplexStream) {
    // The client notices at its end that the stream has ended.
    let _ = copy_bidirectional(&mut socket, &mut far).await;
}

/// A connection. It is closed when this is dropped.
#[derive(Debug)]
pub(super) struct Open {
    connection: MultiplexedConnection,
    ended: Rc<Cell<bool>>,
    _tasks: JoinSet<()>,
}

impl Open {
    /// Returns whether the connection has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Sends a command and waits for its answer.
    ///
    /// Not cancel safe: the server may run the command, and its answer is lost.
    pub(super) async fn send(&self, command: &Cmd, deadline: Duration) -> Result<Value, Failure> {
        let mut connection = self.connection.clone();
        let answer = timeout(deadline, connection.send_packed_command(command)).await;
        match answer {
            // An array with an error in it has come as it was sent, which is right here.
            Ok(Ok(Value::ServerError(error))) => Err(RedisError::from(error).into()),
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                self.ended.set(true);
                Err(Failure::Connection(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Subscribes to a channel. It needs a connection with messages.
    pub(super) async fn subscribe(&self, channel: &str) -> Result<(), Failure> {
        let mut connection = self.connection.clone();
        match timeout(ANSWER, connection.subscribe(channel)).await {
            Ok(subscribed) => Ok(subscribed?),
            Err(_) => {
                self.ended.set(true);
                Err(Failure::Connection(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}
