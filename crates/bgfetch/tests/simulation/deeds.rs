//! What pages, the user, the network, the disk and the servers do.

use bgfetch::Job;

use super::life::Life;
use super::page;
use super::plan::Deed;
use super::resource::USERS;

impl Life {
    pub(crate) async fn perform(&self, deed: Deed) {
        let (world, ui) = (&self.world, self.engine.ui());
        match deed {
            Deed::Fetch(call) => {
                world.spawn(page::call(world.clone(), self.engine.clone(), call));
            }
            Deed::Abort(site) | Deed::UserAborts(site) => {
                let Some(number) = self.any_fetch(site) else { return };
                let Some(key) = world.oracle().fetch(number).key else { return };
                world.oracle().fetch(number).abort_asked = true;
                let aborted = match deed {
                    Deed::UserAborts(_) => ui.abort(key).await,
                    _ => {
                        let registration = world.plan().sites[site].registration.clone();
                        let registration = self.engine.registration(registration);
                        match registration.fetch(key).await {
                            Ok(Some(fetch)) => fetch.abort().await,
                            _ => Ok(false),
                        }
                    }
                };
                if aborted.is_ok_and(|aborted| aborted) {
                    world.learn(|oracle| oracle.aborted(number));
                }
            }
            Deed::Pause(site) | Deed::Resume(site) => {
                let Some(number) = self.any_fetch(site) else { return };
                let Some(key) = world.oracle().fetch(number).key else { return };
                let pauses = matches!(deed, Deed::Pause(_));
                let before = world.oracle().fetch(number).paused.take();
                let told = match pauses {
                    true => ui.pause(key).await,
                    false => ui.resume(key).await,
                };
                let paused = match told {
                    Ok(()) => Some((pauses, world.now())),
                    // Nobody knows whether it was stored.
                    Err(error) if error.is_closed() => None,
                    Err(_) => before,
                };
                world.learn(|oracle| oracle.fetch(number).paused = paused);
            }
            Deed::Click(site) => {
                let Some(number) = self.any_fetch(site) else { return };
                let Some(key) = world.oracle().fetch(number).key else { return };
                drop(ui.click(key).await);
            }
            Deed::Dismiss(site) => {
                let of_site = |job: &&Job| {
                    job.display.dismissible
                        && job.registration == world.plan().sites[site].registration
                };
                let jobs = self.jobs().await;
                if let Some(job) = jobs.iter().find(of_site) {
                    self.dismiss(job).await;
                }
            }
            Deed::Unregister(site) => self.unregister(site).await,
            Deed::OpenPage(site, stays) => {
                let (engine, prompt) = (self.engine.clone(), world.once_in(2));
                world.spawn(page::live(world.clone(), engine, site, prompt, Some(stays)));
            }
            Deed::Worker(site, active) => {
                world.state().active_workers[site] = active;
                let registration = world.plan().sites[site].registration.clone();
                let registration = self.engine.registration(registration);
                registration.set_active_worker(active).await.unwrap_or_default();
            }
            Deed::Line(line) => {
                {
                    let mut state = world.state();
                    state.line = line;
                    state.line_changes += 1;
                }
                self.set_line();
            }
            Deed::DiskFull(full) => world.disk().set_full(full),
            Deed::SyncFails => world.disk().set_sync_fails(true),
            Deed::ServerChanges(resource) => {
                let now = world.true_time();
                world.resources().change(resource, now);
            }
            Deed::UserChanges(site) => {
                let user = world.draw(|rng| rng.u8(0..USERS));
                world.state().users[site] = user;
            }
            Deed::ClockJumps(milliseconds) => world.state().wall_jump += milliseconds,
        }
    }

    /// A fetch of the site that somebody knows, usually one that has not settled.
    fn any_fetch(&self, site: usize) -> Option<usize> {
        let mut known: Vec<(usize, bool)> = {
            let oracle = self.world.oracle();
            let known = oracle.fetches().iter().enumerate();
            known
                .filter(|(_, fetch)| fetch.call.site == site && fetch.key.is_some() && !fetch.gone)
                .map(|(number, fetch)| (number, fetch.result.is_none()))
                .collect()
        };
        if known.iter().any(|(_, active)| *active) && !self.world.once_in(4) {
            known.retain(|(_, active)| *active);
        }
        if known.is_empty() {
            return None;
        }
        Some(known[self.world.draw(|rng| rng.usize(0..known.len()))].0)
    }

    pub(crate) async fn dismiss(&self, job: &Job) {
        let Some(number) = self.world.oracle().number_of(job.key) else { return };
        self.world.oracle().fetch(number).may_be_gone = true;
        let dismissed = self.engine.ui().dismiss(job.key).await;
        self.world.learn(|oracle| {
            let fetch = oracle.fetch(number);
            fetch.gone = dismissed.is_ok();
            // If the process ended meanwhile, nobody knows whether it was stored.
            fetch.may_be_gone = dismissed.map_or_else(|error| error.is_closed(), |()| true);
        });
    }

    async fn unregister(&self, site: usize) {
        let world = &self.world;
        let mut promised = Vec::new();
        {
            let mut oracle = world.oracle();
            for number in 0..oracle.fetches().len() {
                let fetch = oracle.fetch(number);
                if fetch.call.site == site {
                    fetch.may_be_gone = true;
                    promised.extend(fetch.promised.then_some(number));
                }
            }
        }
        let registration = world.plan().sites[site].registration.clone();
        if self.engine.registration(registration).unregister().await.is_ok() {
            world.learn(|oracle| promised.iter().for_each(|it| oracle.fetch(*it).gone = true));
        }
        self.register(site).await;
    }
}
