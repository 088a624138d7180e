//! `handfast netcheck`: what the network lets through, as far as one server can tell.

mod family;
mod nat;
mod port;
mod report;
mod silence;

use handfast_program::Error;
use handfast_program::output::print;
use handfast_tokio::{Target, explain, resolve};

use crate::cli::Netcheck;
use crate::node;
use crate::stop::Stop;
use family::{Family, Found};
use port::PortFound;
use report::Report;

/// Asks the server over IPv4, then over IPv6, and prints one screen.
pub(crate) async fn run(choices: Netcheck, stop: Stop) -> Result<(), Error> {
    let report = tokio::select! {
        report = check(&choices) => report?,
        () = stop.asked() => return Err(Error::Run("interrupted".to_owned())),
    };
    print(&report.to_string())?;
    if report.is_reached() {
        return Ok(());
    }
    Err(Error::Run(format!("UDP does not reach {}", choices.server)))
}

async fn check(choices: &Netcheck) -> Result<Report, Error> {
    let target = resolve(&choices.server).await;
    let target = target.map_err(|error| Error::Run(explain(&error).to_string()))?;
    let (families, port) =
        tokio::join!(families(choices, &target), PortFound::check(choices.map_port));
    Ok(Report { server: choices.server.clone(), families: families?, port })
}

async fn families(choices: &Netcheck, target: &Target) -> Result<Vec<(Family, Found)>, Error> {
    let config = node::config(choices.network_secret_file.as_deref())?;
    let mut all = Vec::new();
    // One after the other: two endpoints with one key would take each other's place.
    for family in [Family::V4, Family::V6] {
        let identity = node::identity(&choices.identity)?;
        let (patience, ports) = (choices.timeout, choices.probe_ports);
        let found = family.check(config.clone(), identity, target, patience, ports).await;
        all.push((family, found));
    }
    Ok(all)
}
