//! Statistics on their way to the groups that want them.

use super::{Action, Hub};
use crate::serve::live::member::Stats;
use crate::serve::live::stats::{Asked, Told, Wanted};

impl Hub {
    /// Who wants statistics is asked, or told.
    pub(in crate::serve::live) fn stats(&mut self, asked: Asked, actions: &mut Vec<Action>) {
        match asked {
            // Whoever asked and went away needs no answer.
            Asked::Wanted(reply) => drop(reply.send(self.wanted_stats())),
            Asked::Tell(told) => told.iter().for_each(|told| self.tell_stats(told, actions)),
        }
    }

    fn wanted_stats(&mut self) -> Vec<Wanted> {
        let with_stats = self.groups.iter_mut().filter(|(_, group)| group.subscription.stats);
        let wanted = with_stats.map(|(number, group)| Wanted {
            group: (number, group.born),
            subscription: group.subscription.clone(),
            changes: group.members.iter().any(|member| member.stats != Stats::Whole),
            whole: group.members.iter().any(|member| member.stats != Stats::Changes),
        });
        wanted.collect()
    }

    /// A member without room is passed over, and told everything when it has room again: what it
    /// missed need not be kept.
    fn tell_stats(&mut self, told: &Told, actions: &mut Vec<Action>) {
        let (number, born) = told.group;
        let Some(group) = self.groups.get_mut(number).filter(|it| it.born == born) else { return };
        let load = &mut self.load;
        let frames = told.changed.len() + told.whole.len();
        for member in &mut group.members {
            let before = member.stats;
            if member.behind.is_some() || !member.has_room_for(frames, load) {
                if frames > 0 {
                    member.stats = Stats::Whole;
                }
                continue;
            }
            if before != Stats::Whole {
                told.changed.iter().for_each(|frame| member.send(frame.clone(), actions, load));
            }
            if before != Stats::Changes {
                told.whole.iter().for_each(|frame| member.send(frame.clone(), actions, load));
            }
            let gets_all = before == Stats::Coming || (before == Stats::Whole && told.begins);
            if gets_all {
                member.stats = if told.ends { Stats::Changes } else { Stats::Coming };
            }
        }
    }
}
