//! What carrying out a plan would do.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Plan;
use crate::content::{Effort, Source, Target};
use crate::error::Error;
use crate::model::Descriptor;

/// What carrying out a [`Plan`] would do, as far as the target says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// The blobs that the target lacks, in the order of the plan, and what it takes to push them.
    pub lacking: Vec<(Descriptor, Effort)>,
    /// How many blobs of the plan it has, those included that it is believed to have.
    pub existing: u64,
    /// How many requests it takes to find that out when the plan is carried out.
    pub asking: u64,
}

impl Plan {
    /// Asks the target which of the plan's blobs, which would come from `from`, it has; nothing moves.
    ///
    /// **Requests**: one `HEAD` for each blob, 8 at a time.
    ///
    /// # Errors
    ///
    /// Whatever keeps the target from answering.
    pub async fn forecast(&self, from: &impl Source, to: &impl Target) -> Result<Forecast, Error> {
        let ask = |blob: Descriptor| async move { Ok::<_, Error>((to.exists(&blob).await?, blob)) };
        let answers = stream::iter(self.blobs().to_vec()).map(ask).buffered(WIDTH).try_collect::<Vec<_>>().await?;
        let mut forecast = Forecast { lacking: Vec::new(), existing: self.believed().len() as u64, asking: 0 };
        for (is_there, blob) in answers {
            let effort = to.effort(&from.blob(&blob));
            if is_there {
                forecast.existing += 1;
                forecast.asking += effort.there;
            } else {
                forecast.lacking.push((blob, effort));
            }
        }
        Ok(forecast)
    }
}

/// How many blobs are asked for at a time.
const WIDTH: usize = 8;
