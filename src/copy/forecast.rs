//! What carrying out a plan would do.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Plan;
use crate::content::Target;
use crate::error::Error;
use crate::model::Descriptor;

/// What carrying out a [`Plan`] would do, as far as the target says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// The blobs that the target lacks, in the order of the plan.
    pub lacking: Vec<Descriptor>,
    /// How many blobs of the plan it has, those included that it is believed to have.
    pub existing: u64,
}

impl Plan {
    /// Asks the target which of the plan's blobs it has; nothing moves.
    ///
    /// **Requests**: one `HEAD` for each blob, 8 at a time.
    ///
    /// # Errors
    ///
    /// Whatever keeps the target from answering.
    pub async fn forecast(&self, to: &impl Target) -> Result<Forecast, Error> {
        let ask = |blob: Descriptor| async move { Ok::<_, Error>((to.exists(&blob).await?, blob)) };
        let answers = stream::iter(self.blobs().to_vec()).map(ask).buffered(WIDTH).try_collect::<Vec<_>>().await?;
        let existing = answers.iter().filter(|(is_there, _)| *is_there).count() + self.believed().len();
        let lacking = answers.into_iter().filter(|(is_there, _)| !is_there).map(|(_, blob)| blob).collect();
        Ok(Forecast { lacking, existing: existing as u64 })
    }
}

/// How many blobs are asked for at a time.
const WIDTH: usize = 8;
