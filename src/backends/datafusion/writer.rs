//! Writes a frame to a file: the frame runs in its own engine, the file is keyfold's own work.

use async_trait::async_trait;

use super::NAME;
use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::options::WriteOptions;
use crate::core::report::WriteReport;
use crate::error::Result;
use crate::interfaces::{Frame, Writer};
use crate::table::write::write_stream;

/// Writes frames, its own and those of other engines.
#[derive(Debug, Clone)]
pub struct DataFusionWriter {
    session: Session,
}

impl DataFusionWriter {
    /// A writer that opens files with `session`.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session }
    }
}

#[async_trait]
impl Writer for DataFusionWriter {
    async fn write_opts(
        &self,
        frame: Frame,
        location: &Location,
        options: WriteOptions,
    ) -> Result<WriteReport> {
        options.validate()?;
        let stream = frame.into_arrow().await?;
        write_stream(&self.session, stream, location, &options, NAME).await
    }
}
