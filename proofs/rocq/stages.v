(* What the stream holds between the layers: the exact content of every kind of token, and how far
   from it the stream may be. Layers 1 to 4 establish `after_commit`, layer 5 `after_fetch`,
   layer 6 `after_execute`; layer 7 reads that. *)
From Theorem1 Require Import sums selection transformer stream prompt.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Section Stages.
Variables (S : spec) (C : consts) (P : prompt S).
Notation coord := (coord_finType S).
Notation tok := (tok_finType P).
Notation rho := (tolerance C).
Implicit Types (h : stream coord tok) (t : tok).

(* A subspace of a token. *)
Definition part (I : Type) (s : I -> coord) h t : vec I := fun i => h t (s i).
Notation x := (part (@X S)).
Notation y := (part (@Y S)).
Notation f := (part (@fcoord S)).

(* Inputs once lifted, their features; the labels once paired. *)
Definition exact_x t : vec 'I_(dim S) :=
  if t is At g p then if p == ord_max then vzero else filled P g p else vzero.
Definition exact_f t : vec 'I_(fdim (phi S)) :=
  if t is At g p then if p == ord_max then vzero else feature (phi S) (filled P g p) else vzero.
Definition exact_y t : vec 'I_(dim S) := if t is At (Some j) _ then label P j else vzero.

(* The tasks that a token holds in its code after Commit: at a label, those that explain its
   example; at an example's input, those of its own slot that do. *)
Definition verdict t (i : 'I_(K S)) : bool :=
  if t is At (Some j) p then explains P rho i j && ((p == ord_max) || (slot (task_of i) == p)) else
    false.
Definition committed t : bool := #|verdict t| == 1%N.

Definition example_input t : bool := is_inp t && ~~ is_qry t.

Record after_lift h : Prop := AfterLift {
  lift_flags : exact_flags h;
  lift_f : forall t, norm (vsub (f h t) (exact_f t)) <= E_f S C;
  lift_f_rest : forall t, ~~ is_inp t -> norm (f h t) <= E_f_rest S C;
  lift_f_bos : norm (f h BOS) <= E_f_bos S C;
  lift_y : forall t, y h t = if is_lab t then exact_y t else vzero;
  lift_z : forall t a, h t (Z a) = 0;
  lift_count : forall t, h t Count = 0;
  lift_ok : forall t, h t Ok = 0 }.

Record after_pair h : Prop := AfterPair {
  pair_flags : exact_flags h;
  pair_f : forall t, norm (vsub (f h t) (exact_f t)) <= E_f S C;
  pair_f_rest : forall t, ~~ is_inp t -> norm (f h t) <= E_f_rest S C;
  pair_f_bos : norm (f h BOS) <= E_f_bos S C;
  pair_y : forall t, norm (vsub (y h t) (exact_y t)) <= E_y S C;
  pair_y_rest : forall t, ~~ example_input t -> norm (vsub (y h t) (exact_y t)) <= radius C * nu S;
  pair_y_bos : norm (y h BOS) <= radius C * nu_bos S;
  pair_z : forall t a, h t (Z a) = 0;
  pair_count : forall t, h t Count = 0;
  pair_ok : forall t, h t Ok = 0 }.

(* Recognize's heads look at an example's inputs in their own slot, and nowhere else. *)
Definition at_slot t (i : 'I_(K S)) : bool :=
  if t is At (Some _) p then slot (task_of i) == p else false.
Definition recognized t (i : 'I_(K S)) : bool :=
  if t is At (Some j) p then explains P rho i j && (slot (task_of i) == p) else false.
Notation tau3 := (tau_at (T_recognize C)).
Notation nu3 := (nu_at S (T_recognize C)).

Record after_recognize h : Prop := AfterRecognize {
  recognize_flags : exact_flags h;
  recognize_f : forall t, norm (vsub (f h t) (exact_f t)) <= E_f S C;
  recognize_f_rest : forall t, ~~ is_inp t -> norm (f h t) <= E_f_rest S C;
  recognize_f_bos : norm (f h BOS) <= E_f_bos S C;
  recognize_y : forall t, norm (vsub (y h t) (exact_y t)) <= E_y S C;
  recognize_y_rest : forall t, ~~ example_input t ->
    norm (vsub (y h t) (exact_y t)) <= radius C * nu S;
  recognize_y_bos : norm (y h BOS) <= radius C * nu_bos S;
  recognize_z : exists mass : tok -> 'I_(K S) -> R,
    (forall t a, h t (Z a) = \sum_i mass t i * code_of i a) /\
    (forall t, h t Count = \sum_i mass t i) /\
    (forall t i, recognized t i -> 1 - (tau3 + nu3) <= mass t i <= 1) /\
    (forall t i, ~~ recognized t i -> 0 <= mass t i <= tau3 + nu3) /\
    (forall t i, ~~ at_slot t i -> 0 <= mass t i <= nu3);
  recognize_ok : forall t, h t Ok = 0 }.

(* After Commit the code of a token is a sum of the tasks' codes, each with a weight that is near 1
   if the task is in the token's verdict and near 0 if not. *)
Record after_commit h : Prop := AfterCommit {
  commit_flags : exact_flags h;
  commit_f : forall t, norm (vsub (f h t) (exact_f t)) <= E_f S C;
  commit_f_rest : forall t, ~~ is_inp t -> norm (f h t) <= E_f_rest S C;
  commit_f_bos : norm (f h BOS) <= E_f_bos S C;
  commit_y : forall t, norm (vsub (y h t) (exact_y t)) <= E_y S C;
  commit_y_rest : forall t, ~~ example_input t ->
    norm (vsub (y h t) (exact_y t)) <= radius C * nu S;
  commit_y_bos : norm (y h BOS) <= radius C * nu_bos S;
  commit_z : exists mass : tok -> 'I_(K S) -> R,
    (forall t a, h t (Z a) = \sum_i mass t i * code_of i a) /\
    (forall t i, verdict t i -> 1 - (2 * tau S + stray S C) <= mass t i <= 1 + stray S C) /\
    (forall t i, ~~ verdict t i -> 0 <= mass t i <= stray S C);
  commit_ok : forall t, h t Ok = b2R (committed t) }.

Record after_fetch h : Prop := AfterFetch {
  fetch_flags : exact_flags h;
  fetch_f : forall j i, let t := At (Some j) ord_max in committed t -> verdict t i ->
    norm (vsub (f h t) (feature (phi S) (filled P None (slot (task_of i))))) <= fetched S C;
  fetch_f_rest : forall t, ~~ (committed t && is_lab t) ->
    norm (vsub (f h t) (exact_f t)) <= fetched S C;
  fetch_f_bos : norm (f h BOS) <= fetched_bos S C;
  fetch_y : forall t, norm (vsub (y h t) (exact_y t)) <= E_y S C;
  fetch_y_rest : forall t, ~~ example_input t -> norm (vsub (y h t) (exact_y t)) <= radius C * nu S;
  fetch_y_bos : norm (y h BOS) <= radius C * nu_bos S;
  fetch_z : exists mass : tok -> 'I_(K S) -> R,
    (forall t a, h t (Z a) = \sum_i mass t i * code_of i a) /\
    (forall t i, verdict t i -> 1 - (2 * tau S + stray S C) <= mass t i <= 1 + stray S C) /\
    (forall t i, ~~ verdict t i -> 0 <= mass t i <= stray S C);
  fetch_ok : forall t, h t Ok = b2R (committed t) }.

Record after_execute h : Prop := AfterExecute {
  execute_flags : exact_flags h;
  execute_y : forall j i, let t := At (Some j) ord_max in committed t -> verdict t i ->
    norm (vsub (y h t) (perform P i None)) <= executed S C;
  execute_y_rest : forall t, ~~ (committed t && is_lab t) ->
    norm (y h t) <= radius C + E_y S C + idle_y S C;
  execute_y_bos : norm (y h BOS) <= idle_y S C;
  execute_y_answer : norm (y h (answer P)) <= idle_y S C;
  execute_ok : forall t, h t Ok = b2R (committed t) }.
End Stages.
