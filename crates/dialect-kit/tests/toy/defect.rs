//! The ways in which a toy is broken on purpose.

/// A defect of a toy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    /// Has no client session.
    NoClient,
    LosesTheCorrelation,
    CutsTexts,
    CutsLongTexts,
    DropsTheAuthority,
    DecodesRefusalsAsGrants,
    CannotEncodeAFault,
    ChangesCredentials,
    RendersDifferently,
    RendersByItsValue,
    DeliversWhatItCannotRender,
    LeavesFramesBehind,
    PanicsOnNumbers,
    PanicsOnBinary,
    PanicsOnSyntax,
    PanicsWhereItRecognises,
    PanicsInTheClient,
    LeavesRequestsBehind,
    IgnoresViolations,
    AnswersInAnotherForm,
    ForgetsItsLoginOnAViolation,
    SendsTooMuch,
    RecognisesNothing,
    RecognisesEverything,
    /// Refuses a frame with a key that it does not know.
    RecognisesNoForeignKey,
    /// Claims a frame by a sibling's key.
    RecognisesASiblingsKey,
    ClaimsAPush,
    /// Subscribes to all flows after its sessions have ended.
    StaysSubscribed,
    /// Subscribes to all flows after `Unauthenticated`.
    StaysSubscribedWhenRefused,
    /// Takes the token of a login for every later request, whatever becomes of the session.
    RemembersItsToken,
    /// Leaves a request of a connection without identity unanswered.
    IgnoresTheLoggedOut,
    /// The client accepts no response to a send without the message's id.
    RefusesAnAbsentMessage,
    /// The client accepts no new flow without an owner.
    RefusesAnAbsentOwner,
}
