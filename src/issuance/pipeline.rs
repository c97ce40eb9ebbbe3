//! The ten steps. Everything that decides about a certificate is called here, in this order.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::admission::Admission;
use super::flight::Landed;
use super::store::{Begun, Final, Intent, Record, StoreError, Submission, TokenUse};
use super::terms::InForce;
use super::{
    CtMode, Error, Inner, Issued, KillPoint, Proof, Request, Stage, Submitted, TrustedIssuer, Whom,
};
use crate::ca::{self, IssuingCaId, Leaf, Plan, Serial, SignError, Signed, Signer, Tbs};
use crate::ct::{CertificateLog, Failure, PreEntry, SubmitError, VerifiedSct};
use crate::identity::{self, Principal};
use crate::possession::{self, PossessedKey, SubjectKey};
use crate::rates::{Receipts, is_on_us};
use crate::time::UnixMillis;
use crate::token::{self, IssuerPolicy, RawToken, VerifiedToken};

/// How often a serial is drawn before the store's "known already" is taken for a fault. Two equal
/// serials of 144 random bits do not happen; a broken random source does.
const SERIAL_DRAWS: usize = 3;

/// For one call of the signer or the store. What hangs is away, which is a reason to come back
/// later; the door's own limit, a minute, could only call it our fault.
const PART_TIME: Duration = Duration::from_secs(10);

/// How often a write whose outcome is unknown is repeated. The store makes repeating it harmless.
const WRITE_TRIES: u32 = 3;
/// Before the first repetition; twice as long before the second.
const WRITE_PAUSE: Duration = Duration::from_millis(50);

/// What a caller has shown to be his, on the way to its certificate.
struct Wanted {
    terms: Arc<InForce>,
    token: VerifiedToken,
    issuer: Arc<TrustedIssuer>,
    principal: Arc<Principal>,
    admission: Admission,
    key: Arc<PossessedKey>,
    request_id: String,
    now: UnixMillis,
}

impl Inner {
    /// One request, from the bytes that arrived to the certificate that leaves.
    pub(super) async fn issue(
        self: &Arc<Self>,
        request: Request,
        now: UnixMillis,
        whom: &mut Whom,
    ) -> Result<Issued, Error> {
        self.clock.check(now)?;
        // Issuers, their keys, rules and CA: what is taken over meanwhile is for the next request.
        let terms = self.terms.get();

        // 1. Parse the token strictly and pick its issuer, byte for byte, or the family it is of.
        let raw = RawToken::parse(&request.token)?;
        let (claimed, issuer) = terms.issuer(raw.claimed_issuer())?;

        // 2. Signature, audience, times. The only step that may have to fetch something.
        let keys = &*terms.keys;
        let verified = token::verify(raw, &issuer.policy, keys, now.seconds());
        let verified = self.timed(Stage::Token, verified).await;
        let token = verified.map_err(|error| Error::token(claimed, error))?;
        let (iss, sub): (Arc<str>, Arc<str>) =
            (token.issuer().as_str().into(), token.subject().into());
        whom.issuer = Some(Arc::clone(&iss));
        whom.subject = Some(Arc::clone(&sub));

        // 3. Verified claims become one identity.
        let principal = Arc::new(identity::principal(&token, &issuer.mapping)?);
        let san: Arc<str> = super::trail::san(&principal).into();
        whom.san = Some(Arc::clone(&san));
        let rules = terms.rules.as_deref();
        whom.rules = rules.map(|rules| *rules.hash());
        let admission = self.admitted(rules, &token)?;
        // Only now: with a name that is not proven anybody could use up what somebody else may ask.
        let taken = self.counted(&token).await?;

        // 4. The caller holds the key. Up to here nothing was written down: hanging up costs no more
        // than a request of the identity's.
        let key = Arc::new(self.possessed(request.proof, &principal)?);

        // From here on the work goes on without the caller, and whoever asks for the same token
        // and key on the same terms meanwhile waits for it instead of having his own.
        let this = Arc::clone(self);
        let flight = (token.id(), key.spki_hash(), terms.number);
        let ca = terms.authority.id();
        let wanted = Wanted {
            terms,
            token,
            issuer,
            principal,
            admission,
            key,
            request_id: request.request_id.clone(),
            now,
        };
        let landed = self.flights.join(flight, move || async move {
            let (parts, id) = (&this.parts, &wanted.request_id);
            let signer = &*wanted.terms.signer;
            if let Some(issued) = this.stored(&wanted).await? {
                return this.answer(id, now, ca, issued).await;
            }
            let tbs = match &parts.ct {
                CtMode::Required { logs, deadline } => {
                    let tbs = this.begin(&wanted, Plan::precertificate).await?;

                    // 7. Sign the precertificate between two audit lines.
                    this.signing("precert_signing", id, now, tbs.plan(), tbs.tbs())
                        .await?;
                    (parts.probe)(KillPoint::PrecertAnnounced);
                    let precert = this.timed(Stage::Sign, signed(tbs, signer)).await?;
                    (parts.probe)(KillPoint::PrecertSigned);
                    let signature = precert.signature();
                    this.signed("precert_signed", id, now, precert.plan(), signature)
                        .await?;
                    (parts.probe)(KillPoint::PrecertRecorded);

                    // 8. Log it, the same bytes to whichever log takes them. What the log said
                    // becomes durable with the commit of step 10. A crash here: a logged
                    // precertificate.
                    let asked = this.log_entry(logs, *deadline, precert.entry(), id, now);
                    let sct = this.timed(Stage::Log, asked).await?;
                    (parts.probe)(KillPoint::SctReceived);
                    let submission = submission(precert.plan(), precert.entry(), &sct);
                    in_time(parts.store.put_submission(submission)).await?;

                    // 9. One final grows from it: seal, encode, lint, compare the pair, sign.
                    precert.seal(vec![sct])?
                }
                // No log takes a precertificate, so none is signed: steps 7 and 8 do not exist.
                CtMode::Off => this.begin(&wanted, Plan::leaf_without_log).await?,
            };
            (parts.probe)(KillPoint::LeafLinted);
            this.signing("leaf_signing", id, now, tbs.plan(), tbs.tbs())
                .await?;
            let leaf = this.timed(Stage::Sign, signed(tbs, signer)).await?;
            (parts.probe)(KillPoint::LeafSigned);
            this.signed("leaf_signed", id, now, leaf.plan(), leaf.signature())
                .await?;

            // 10. Record it, then answer. A crash before: as above, with a final that nobody has.
            this.timed(Stage::Store, this.put_final(&leaf, now)).await?;
            // Durable: everything. A crash from here on costs nothing: the same token and key get
            // this certificate.
            (parts.probe)(KillPoint::FinalStored);
            let issued = this.finished(&leaf, iss, sub, san, &wanted);
            this.answer(id, now, ca, issued).await
        });
        let answer = match landed.await {
            Ok(Landed::Own(issued)) => Ok(issued),
            Ok(Landed::Shared(issued)) => {
                self.answer(&request.request_id, now, ca, issued.again())
                    .await
            }
            Err(error) => Err(error),
        };
        if !counts(&answer) {
            self.parts.rates.give_back(taken).await;
        }
        answer
    }

    /// One request against what this issuer and this identity may ask.
    async fn counted(&self, token: &VerifiedToken) -> Result<Receipts, Error> {
        let (issuer, subject) = (token.issuer(), token.subject());
        let taken = self.parts.rates.by_identity(issuer.as_str(), subject).await;
        taken.map_err(|over| Error::TooOften { over })
    }

    /// Does the work of a stage and tells how long it took.
    async fn timed<T>(&self, stage: Stage, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let done = work.await;
        (self.on_stage)(stage, start.elapsed());
        done
    }

    /// Steps 5 and 6, as often as it takes to find a serial.
    async fn begin<P>(
        &self,
        wanted: &Wanted,
        first: impl Fn(Plan) -> Result<Tbs<P>, ca::Error>,
    ) -> Result<Tbs<P>, Error> {
        let (parts, policy) = (&self.parts, &wanted.issuer.policy);
        let mut draws = 1;
        loop {
            // 5. Plan, encode, lint the exact bytes. No key of ours has been touched.
            let tbs = first(self.plan(wanted)?)?;

            // 6. The intent, and with it the token's use. A crash before: nothing happened.
            (parts.probe)(KillPoint::BeforeIntent);
            let intent = intent(wanted, tbs.plan(), tbs.unsigned_der().into());
            let token_use = token_use(&wanted.token, policy);
            let written = self.put_intent(intent, token_use);
            match self.timed(Stage::Store, written).await {
                Ok(Begun::Recorded) => {
                    // Durable: the intent and the token's use. A crash from here to step 10 costs
                    // this serial, which the sweep reports as presumed to exist; the caller's retry
                    // gets a new one and spends no second use, because the key is the same.
                    (parts.probe)(KillPoint::IntentStored);
                    return Ok(tbs);
                }
                Ok(Begun::Exhausted) => return Err(Error::replayed(policy)),
                Err(StoreError::Conflict { .. }) if draws < SERIAL_DRAWS => draws += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn plan(&self, wanted: &Wanted) -> Result<Plan, Error> {
        let parts = &self.parts;
        let serial = Serial::draw(parts.instance, &*parts.entropy);
        let authority = Arc::clone(&wanted.terms.authority);
        let profile = Arc::clone(&parts.profile);
        let (who, key) = (Arc::clone(&wanted.principal), Arc::clone(&wanted.key));
        let now = wanted.now.seconds();
        let plan = Plan::new(authority, profile, serial, who, key, now)?;
        Ok(match wanted.admission.max_lifetime {
            Some(longest) => plan.no_longer_than(longest),
            None => plan,
        })
    }

    fn finished(
        &self,
        leaf: &Signed<Leaf>,
        issuer: Arc<str>,
        subject: Arc<str>,
        san: Arc<str>,
        wanted: &Wanted,
    ) -> Issued {
        let admission = &wanted.admission;
        Issued {
            leaf_der: Arc::clone(leaf.der()),
            chain: Arc::clone(wanted.terms.authority.chain_der()),
            serial: leaf.plan().serial(),
            issuer,
            subject,
            san,
            spki_hash: leaf.plan().key().spki_hash(),
            key_of_another: false,
            rule: admission.rule.clone(),
            rules: admission.rules,
            would_refuse: admission.would_refuse,
            not_after: leaf.plan().not_after(),
            sct_embedded: matches!(self.parts.ct, CtMode::Required { .. }),
            repeated: false,
        }
    }

    /// The last line about a request that succeeds; without it nothing leaves.
    async fn answer(
        &self,
        request_id: &str,
        now: UnixMillis,
        ca: IssuingCaId,
        mut issued: Issued,
    ) -> Result<Issued, Error> {
        let (key, issuer, san) = (&issued.spki_hash, &issued.issuer, &issued.san);
        issued.key_of_another = self.seen.under_another(key, issuer, san, now);
        self.issued(request_id, now, ca, &issued).await?;
        (self.parts.probe)(KillPoint::Answering);
        Ok(issued)
    }

    fn possessed(&self, proof: Proof, principal: &Principal) -> Result<PossessedKey, Error> {
        let policy = &self.key_policy;
        Ok(match proof {
            Proof::Signature {
                public_key,
                signature,
            } => {
                let key = SubjectKey::from_bytes(&public_key).map_err(possession::Error::from)?;
                let proven =
                    possession::by_signature(key, principal.challenge(), &signature, policy);
                proven.map_err(|error| {
                    // Which claim it is, a caller who signed another one wants to know.
                    let claim = principal.challenge_claim();
                    match matches!(error, possession::Error::ProofInvalid { .. }) {
                        true => Error::Unproven {
                            claim,
                            source: error,
                        },
                        false => error.into(),
                    }
                })?
            }
            Proof::Csr(csr) => possession::by_csr(&csr, policy)?,
        })
    }

    /// What the same token and key got before, if it is still good, of this CA, and logged
    /// if that is required.
    async fn stored(&self, wanted: &Wanted) -> Result<Option<Issued>, Error> {
        let (id, hash) = (wanted.token.id(), wanted.key.spki_hash());
        let now = wanted.now.seconds();
        let found = self.parts.store.find_retry(&id, &hash, now);
        let found = in_time(found).await?;
        let Some(Record {
            intent,
            submission,
            leaf: Some(leaf),
            ..
        }) = found
        else {
            return Ok(None);
        };
        let authority = &wanted.terms.authority;
        if intent.issuing_ca != authority.id() {
            // Of the CA before a rotation, whose chain is not ours to send: issue anew.
            return Ok(None);
        }
        if !says_the_same(&intent, wanted) {
            // Of other terms, which made another name, other facts or a longer life of this token.
            return Ok(None);
        }
        let sct_embedded = submission.is_some();
        if !sct_embedded && matches!(self.parts.ct, CtMode::Required { .. }) {
            // Of a time with logging off; now nothing leaves without an SCT: issue anew.
            return Ok(None);
        }
        Ok(Some(Issued {
            leaf_der: leaf.leaf_der,
            chain: Arc::clone(authority.chain_der()),
            serial: leaf.serial,
            issuer: intent.issuer.into(),
            subject: intent.subject.into(),
            san: intent.san.into(),
            spki_hash: hash,
            key_of_another: false,
            rule: wanted.admission.rule.clone(),
            rules: wanted.admission.rules,
            would_refuse: wanted.admission.would_refuse,
            not_after: intent.not_after,
            sct_embedded,
            repeated: true,
        }))
    }

    async fn put_intent(&self, intent: Intent, token_use: TokenUse) -> Result<Begun, StoreError> {
        // The same serial and the same bytes: had the first try been written, this one finds it.
        let store = &self.parts.store;
        until_known(|| store.put_intent(intent.clone(), token_use.clone())).await
    }

    /// The first log that answers. Each gets an even share of the time that is left, so that one
    /// that hangs does not use it all up.
    async fn log_entry(
        &self,
        logs: &[Arc<dyn CertificateLog>],
        deadline: Duration,
        entry: &PreEntry,
        request_id: &str,
        now: UnixMillis,
    ) -> Result<VerifiedSct, Error> {
        let end = Instant::now() + deadline;
        let mut failures = Vec::with_capacity(logs.len());
        for (log, left) in logs.iter().zip((1..=logs.len()).rev()) {
            let share =
                end.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(1);
            let answer = timeout(share, log.submit(entry, now, share)).await;
            // The log has this limit too; here it is held to it.
            let answer = answer.unwrap_or_else(|_| {
                Err(SubmitError::Retryable {
                    log: log.name().to_owned(),
                    retry_after: None,
                    source: Box::new(Failure::Timeout { budget: share }),
                })
            });
            (self.on_submitted)(&Submitted {
                request_id,
                log: log.name(),
                outcome: answer
                    .as_ref()
                    .map_or_else(SubmitError::word, |_| "accepted"),
                error: answer.as_ref().err().map(|error| error as _),
            });
            match answer {
                Ok(sct) => return Ok(sct),
                Err(failure) => failures.push(failure),
            }
        }
        Err(Error::NotLogged {
            failures: failures.into(),
        })
    }

    async fn put_final(&self, leaf: &Signed<Leaf>, now: UnixMillis) -> Result<(), StoreError> {
        let leaf = Final {
            serial: leaf.plan().serial(),
            leaf_der: Arc::clone(leaf.der()),
            at: now.seconds(),
        };
        until_known(|| self.parts.store.put_final(leaf.clone())).await
    }
}

/// Whether the request was one of those its identity may make: not where it failed for our reasons,
/// and not where it got the certificate of an earlier one.
fn counts(answer: &Result<Issued, Error>) -> bool {
    match answer {
        Ok(issued) => !issued.repeated,
        Err(error) => !is_on_us(error.reason()),
    }
}

/// A signature, or word that there is none now.
async fn signed<P>(tbs: Tbs<P>, signer: &dyn Signer) -> Result<Signed<P>, ca::Error> {
    let made = timeout(PART_TIME, tbs.sign(signer)).await;
    made.unwrap_or_else(|late| {
        let source = late.into();
        Err(SignError::Unavailable { source }.into())
    })
}

/// What the store says to something that changes nothing, or only queues.
async fn in_time<T>(said: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(PART_TIME, said).await.unwrap_or_else(|late| {
        let source = Arc::new(late);
        Err(StoreError::Unavailable { source })
    })
}

/// Repeats an idempotent write while its outcome is unknown, a bounded number of times.
async fn until_known<T, W>(mut write: impl FnMut() -> W) -> Result<T, StoreError>
where
    W: Future<Output = Result<T, StoreError>>,
{
    let mut attempt = 1;
    loop {
        // A store that says nothing may have written.
        let late = Err(StoreError::OutcomeUnknown);
        match timeout(PART_TIME, write()).await.unwrap_or(late) {
            Err(StoreError::OutcomeUnknown) if attempt < WRITE_TRIES => {
                sleep(WRITE_PAUSE * attempt).await;
                attempt += 1;
            }
            known => return known,
        }
    }
}

impl Issued {
    /// The same certificate for another request.
    fn again(self) -> Self {
        Self {
            repeated: true,
            ..self
        }
    }
}

fn token_use(token: &VerifiedToken, policy: &IssuerPolicy) -> TokenUse {
    TokenUse {
        limit: policy.certificates_per_token,
        // Through the leeway: the token is accepted until then.
        expires_at: token.expires_at().plus(policy.leeway_s.max(0)),
    }
}

fn submission(plan: &Plan, entry: &PreEntry, sct: &VerifiedSct) -> Submission {
    Submission {
        serial: plan.serial(),
        precert_der: Arc::clone(entry.precert_der()),
        scts: vec![sct.sct().encode()],
    }
}

/// Whether this record's certificate says what one that is issued now would.
fn says_the_same(intent: &Intent, wanted: &Wanted) -> bool {
    let principal = &wanted.principal;
    let extensions = principal.extensions().iter();
    let extensions = extensions.map(|e| (e.arc, e.value.as_str()));
    let before = intent.extensions.iter();
    let before = before.map(|(arc, value)| (*arc, value.as_str()));
    let longest = wanted.admission.max_lifetime;
    let longest = longest.map(|longest| i64::try_from(longest.as_secs()).unwrap_or(i64::MAX));
    let end = longest.map(|longest| wanted.now.seconds().plus(longest));
    intent.san == super::trail::san(principal)
        && before.eq(extensions)
        && end.is_none_or(|end| intent.not_after <= end)
}

/// What is written down before anything is signed: by any of it the certificate can be found and
/// revoked later.
fn intent(wanted: &Wanted, plan: &Plan, unsigned: Arc<[u8]>) -> Intent {
    let (token, principal) = (&wanted.token, plan.principal());
    let extensions = principal.extensions().iter();
    Intent {
        serial: plan.serial(),
        unsigned,
        token_hash: *token.hash(),
        token_id: token.id(),
        spki_hash: plan.key().spki_hash(),
        issuing_ca: plan.authority().id(),
        profile: plan.profile().hash(),
        request_id: wanted.request_id.clone(),
        kid: token.kid().map(str::to_owned),
        issuer: token.issuer().as_str().to_owned(),
        subject: token.subject().to_owned(),
        san: super::trail::san(principal),
        rule: wanted.admission.rule.as_deref().map(str::to_owned),
        rules: wanted.admission.rules,
        extensions: extensions.map(|e| (e.arc, e.value.clone())).collect(),
        at: wanted.now.seconds(),
        not_after: plan.not_after(),
    }
}
