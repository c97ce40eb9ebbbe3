//! `serve`: the server, from its configuration, until a signal.

use std::error::Error as _;

use clap::Args;
use serde_json::json;

use super::config::{ConfigArgs, unusable_in};
use super::exit::Exit;
use super::output::{Failure, Output};
use super::signal::Stop;
use crate::config::LogFormat;
use crate::instance::{self, Listeners, descriptors, parts};
use crate::telemetry;

#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where clients connect (server.listen)
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where records live (state.dir)
    #[arg(long, value_name = "DIR")]
    state: Option<String>,
}

pub(super) async fn run(mut args: ServeArgs, out: &Output) -> Result<(), Failure> {
    args.config
        .set
        .extend(args.listen.map(|v| format!("server.listen={v}")));
    args.config
        .set
        .extend(args.state.map(|v| format!("state.dir={v}")));
    let loaded = args.config.load()?;
    let (inputs, effective) = (loaded.inputs.clone(), loaded.effective.clone());
    let settings = &loaded.settings;
    let stop = Stop::listen()?;
    let format = match settings.log_format {
        LogFormat::Text => telemetry::Format::Text,
        LogFormat::Json => telemetry::Format::Json,
    };
    let _log = telemetry::init(format, &settings.log_level)
        .map_err(|e| Failure::from_error(Exit::Configuration, &e))?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    if let Err(too_few) = descriptors::take_all() {
        tracing::warn!(cause = too_few.source(), "{too_few}");
    }
    let listeners = Listeners::bind(settings.server.listen, settings.server.ops_listen).await;
    let listeners = listeners.map_err(|e| {
        Failure::from_error(Exit::Configuration, &e)
            .hint("is it running already? --listen ADDR, or server.ops_listen, moves it")
    })?;
    let blueprint = parts::blueprint(loaded).map_err(|e| unusable_in(&inputs, &effective, &e))?;
    let running = instance::start(blueprint, listeners).map_err(|e| {
        let failure = Failure::from_error(Exit::Configuration, &e);
        match e.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    let (url, operators) = (running.url(), running.ops_url());
    // On standard error is the log and nothing else: a collector reads it line by line.
    tracing::info!(url, operators, "ready");
    if let Err(lost) = out.ready(url, json!({ "operators": operators })) {
        // It answers all the same; whoever waited for the line finds the reason here.
        tracing::warn!("{}", lost.message);
    }
    stop.wait().await;
    tracing::info!("stopping: no new connections, finishing what is in flight");
    running.stop().await;
    Ok(())
}
