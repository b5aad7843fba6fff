use super::*;

fn entry(operation: &'static str) -> Entry {
    let role = Role::Patient(PatientId::new("p-1").unwrap());
    Entry::of(&role, Origin::default(), operation)
}

fn chain(length: i64) -> Vec<Kept> {
    let mut last = Mark::FIRST;
    let kept = (1..=length).map(|position| {
        let record = entry("read").detail(position.to_string()).into_records(DateTime::UNIX_EPOCH).remove(0);
        last = Mark { position, link: last.link.next(position, record.digest()) };
        Kept { mark: last, record }
    });
    kept.collect()
}

fn verify(rows: &[Kept], head: Mark, noted: &[Mark]) -> Vec<Fault> {
    let mut verifier = Verifier::new(Mark::FIRST, noted.to_vec());
    let mut faults = Vec::new();
    rows.iter().for_each(|row| verifier.next(row, &mut faults));
    verifier.end(head, &mut faults);
    faults
}

#[test]
fn every_way_to_tamper_is_named_by_its_position() {
    let whole = chain(9);
    let head = whole[8].mark;
    assert_eq!(verify(&whole, head, &[whole[3].mark, head]), []);

    let mut changed = whole.clone();
    changed[4].record.patients = vec!["p-2".into()];
    assert_eq!(verify(&changed, head, &[]), [Fault::Changed(5)]);
    // With its link made anew, the next one does not follow.
    changed[4].mark.link = changed[3].mark.link.next(5, changed[4].record.digest());
    assert_eq!(verify(&changed, head, &[]), [Fault::Changed(6)]);

    let mut deleted = whole.clone();
    deleted.drain(3..5);
    assert_eq!(verify(&deleted, head, &[]), [Fault::Missing { from: 4, to: 5 }]);

    let mut swapped = whole.clone();
    let record = swapped[1].record.clone();
    swapped[1].record = std::mem::replace(&mut swapped[6].record, record);
    assert_eq!(verify(&swapped, head, &[]), [Fault::Changed(2), Fault::Changed(7)]);

    let mut inserted = whole.clone();
    inserted.insert(4, whole[0].clone());
    inserted.iter_mut().zip(1..).skip(4).for_each(|(row, position)| row.mark.position = position);
    assert_eq!(verify(&inserted, head, &[])[0], Fault::Changed(5));

    assert_eq!(verify(&whole[..6], head, &[]), [Fault::CutOff { from: 7, to: 9 }]);
    assert_eq!(verify(&whole, whole[6].mark, &[]), [Fault::BeyondHead { from: 8, to: 9 }]);
    assert_eq!(verify(&whole[1..], head, &[]), [Fault::Missing { from: 1, to: 1 }]);
}

#[test]
fn a_record_that_was_made_anew_as_a_whole_differs_from_what_was_noted() {
    let whole = chain(9);
    let (head, noted) = (whole[8].mark, whole[7].mark);
    let cut = &whole[..5];
    assert_eq!(verify(cut, cut[4].mark, &[]), [], "a head that was set back hides it");
    assert_eq!(verify(cut, cut[4].mark, &[noted]), [Fault::NotAsNoted(8)]);
    let other = Mark { link: Link([7; 32]), ..noted };
    assert_eq!(verify(&whole, head, &[other]), [Fault::NotAsNoted(8)]);
    assert_eq!(noted.to_string().parse(), Ok(noted));
    for bad in ["", "8", "8:", "8:zz", "x:00", "8:+0", &format!("8:{}", "0".repeat(62))] {
        assert!(bad.parse::<Mark>().is_err(), "{bad}");
    }
}

#[test]
fn what_retention_took_away_must_be_recorded() {
    let whole = chain(9);
    let pruned = whole[3].mark;
    let rest = &whole[4..];
    let verify = |rows: &[Kept], noted: &[Mark]| {
        let (mut verifier, mut faults) = (Verifier::new(pruned, noted.to_vec()), Vec::new());
        rows.iter().for_each(|row| verifier.next(row, &mut faults));
        verifier.end(rows.last().unwrap().mark, &mut faults);
        faults
    };
    assert_eq!(verify(rest, &[]), [Fault::NotPruned(4)]);
    let record = Entry::by_operator(None, PRUNE).detail(pruned.to_string());
    let record = record.into_records(DateTime::UNIX_EPOCH).remove(0);
    let mark = Mark { position: 10, link: whole[8].mark.link.next(10, record.digest()) };
    let rows: Vec<_> = rest.iter().cloned().chain([Kept { mark, record }]).collect();
    assert_eq!(verify(&rows, &[pruned, whole[5].mark]), []);
    assert_eq!(verify(&rows, &[whole[1].mark]), [Fault::NotThereAnyMore(2)]);
}

#[test]
fn no_two_records_are_encoded_alike() {
    let digest = |entry: Entry| entry.into_records(DateTime::UNIX_EPOCH)[0].digest();
    let ids = |ids: &[&str]| ids.iter().map(|id| PatientId::new(*id).unwrap()).collect::<Vec<_>>();
    let all = [
        digest(entry("read")),
        digest(entry("read").detail("")),
        digest(entry("rea").detail("d")),
        digest(entry("read").patients(ids(&["a", "b"]))),
        digest(entry("read").patients(ids(&["ab"]))),
        digest(entry("read").patients(ids(&["a"])).detail("b")),
    ];
    for (n, one) in all.iter().enumerate() {
        assert!(!all[n + 1..].contains(one), "{n}");
    }
}

#[test]
fn a_list_of_many_patients_is_several_records() {
    let many: Vec<_> = (0..1_200).map(|n| PatientId::new(format!("p-{n}")).unwrap()).collect();
    let records = entry("list").patients(many.clone()).into_records(DateTime::UNIX_EPOCH);
    assert_eq!(records.iter().map(|record| record.patients.len()).collect::<Vec<_>>(), [500, 500, 200]);
    let all: Vec<_> = records.into_iter().flat_map(|record| record.patients).collect();
    assert_eq!(all, many.iter().map(ToString::to_string).collect::<Vec<_>>());
}
