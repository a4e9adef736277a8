(* Signs of the constants and of what is made of them. *)
From Theorem1 Require Import sums.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Section Signs.
Variables (S : spec) (C : consts).
Lemma tau_at_ge0 t : 0 <= tau_at t. Proof. exact/Rlt_le/exp_pos. Qed.
Lemma nu_at_ge0 t : 0 <= nu_at S t.
Proof. by apply: Rmult_le_pos; [exact: pos_INR | exact/Rlt_le/exp_pos]. Qed.
Lemma tau_ge0 : 0 <= tau S. Proof. exact: tau_at_ge0. Qed.
Lemma nu_ge0 : 0 <= nu S. Proof. exact: nu_at_ge0. Qed.
Lemma nu_bos_ge0 : 0 <= nu_bos S.
Proof. by apply: Rmult_le_pos; [exact: pos_INR | exact/Rlt_le/exp_pos]. Qed.

Hypothesis adm : admissible S C.
Lemma radius_ge0 : 0 <= radius C. Proof. by case: (signs adm) => [[]]. Qed.
Lemma input_radius_ge0 : 0 <= input_radius C. Proof. by case: (signs adm) => [[_ []]]. Qed.
Lemma tolerance_ge0 : 0 <= tolerance C. Proof. by case: (signs adm) => [[_ []]]. Qed.
Lemma weight_norm_ge0 : 0 <= weight_norm C. Proof. by case: (signs adm) => [_ [[]]]. Qed.
Lemma bias_norm_ge0 : 0 <= bias_norm C. Proof. by case: (signs adm) => [_ [[_ []]]]. Qed.
Lemma feature_norm_ge0 : 0 <= feature_norm C. Proof. by case: (signs adm) => [_ [[_ [_ []]]]]. Qed.
Lemma feature_bias_norm_ge0 : 0 <= feature_bias_norm C.
Proof. by case: (signs adm) => [_ [[_ [_ []]]]]. Qed.
Lemma code_tolerance_ge0 : 0 <= code_tolerance C. Proof. by case: (signs adm) => [_ [_ []]]. Qed.
Lemma beta_ge0 : 0 <= beta S. Proof. by case: (signs adm) => [_ [_ [_ []]]]. Qed.
Lemma G_ge0 : 0 <= G S. Proof. by case: (signs adm) => [_ [_ [_ [_ []]]]]. Qed.
Lemma abstain_ge0 : 0 <= abstain S. Proof. by case: (signs adm) => [_ [_ [_ [_ [_ []]]]]]. Qed.
Lemma elsewhere_ge0 : 0 <= elsewhere S. Proof. by case: (signs adm) => [_ [_ [_ [_ [_ []]]]]]. Qed.
Lemma T_recognize_ge0 : 0 <= T_recognize C. Proof. by case: (cold_recognize adm). Qed.
Lemma T_gate_ge0 : 0 <= T_gate C. Proof. by case: (cold_gate adm). Qed.
Lemma T_ge0 : 0 <= T S. Proof. by case: (cold_recognize adm) => *; lra. Qed.

Lemma n_ge1 : 1 <= INR (n S). Proof. by rewrite -[1]/(INR 1); apply/le_INR/leP. Qed.
Lemma K_ge1 : 1 <= INR (K S). Proof. by rewrite -[1]/(INR 1); apply/le_INR/leP/(some_task adm). Qed.

Lemma exp_le x y : x <= y -> exp x <= exp y.
Proof. by case=> [/exp_increasing|->]; lra. Qed.
Lemma nu_bos_le : nu_bos S <= nu S.
Proof. by apply: Rmult_le_compat_l; [exact: pos_INR | apply: exp_le; have := T_ge0; lra]. Qed.
Lemma lifted_bos_ge0 : 0 <= lifted_bos S C.
Proof.
rewrite /lifted_bos; case: ifP => _; last by lra.
apply: Rmult_le_pos; last exact: nu_bos_ge0.
by apply: Rmult_le_pos; [exact: pos_INR | exact: input_radius_ge0].
Qed.
Lemma lifted_bos_le : lifted_bos S C <= lifted_rest S C.
Proof.
rewrite /lifted_bos /lifted_rest; case: ifP => _; last by lra.
apply: Rmult_le_compat_l; last exact: nu_bos_le.
by apply: Rmult_le_pos; [exact: pos_INR | exact: input_radius_ge0].
Qed.
Lemma lifted_rest_le : lifted_rest S C <= lifted S C.
Proof. by rewrite /lifted_rest /lifted; case: ifP => _; [exact: Rmax_r | lra]. Qed.
Lemma E_f_bos_ge0 : 0 <= E_f_bos S C.
Proof. by apply: Rmult_le_pos; [exact: feature_norm_ge0 | exact: lifted_bos_ge0]. Qed.
Lemma E_f_bos_le_rest : E_f_bos S C <= E_f_rest S C.
Proof. by apply: Rmult_le_compat_l; [exact: feature_norm_ge0 | exact: lifted_bos_le]. Qed.
Lemma E_f_rest_ge0 : 0 <= E_f_rest S C. Proof. exact: Rle_trans E_f_bos_ge0 E_f_bos_le_rest. Qed.
Lemma E_f_rest_le : E_f_rest S C <= E_f S C.
Proof. by apply: Rmult_le_compat_l; [exact: feature_norm_ge0 | exact: lifted_rest_le]. Qed.
Lemma E_f_bos_le : E_f_bos S C <= E_f S C.
Proof. exact: Rle_trans E_f_bos_le_rest E_f_rest_le. Qed.
Lemma E_f_ge0 : 0 <= E_f S C. Proof. exact: Rle_trans E_f_bos_ge0 E_f_bos_le. Qed.
Lemma E_y_ge0 : 0 <= E_y S C.
Proof.
apply: Rmult_le_pos; first exact: radius_ge0.
by have := nu_ge0; have := Rmult_le_pos _ _ (pos_INR (n S)) tau_ge0; lra.
Qed.
Lemma Rnu_ge0 : 0 <= radius C * nu S. Proof.
by apply: Rmult_le_pos; [exact: radius_ge0 | exact: nu_ge0]. Qed.
Lemma Rnu_bos_ge0 : 0 <= radius C * nu_bos S.
Proof. by apply: Rmult_le_pos; [exact: radius_ge0 | exact: nu_bos_ge0]. Qed.
Lemma Rnu_bos_le : radius C * nu_bos S <= radius C * nu S.
Proof. by apply: Rmult_le_compat_l; [exact: radius_ge0 | exact: nu_bos_le]. Qed.
Lemma Rnu_le : radius C * nu S <= E_y S C.
Proof.
apply: Rmult_le_compat_l; first exact: radius_ge0.
by have := nu_ge0; have := Rmult_le_pos _ _ (pos_INR (n S)) tau_ge0; lra.
Qed.
Lemma stray_ge0 : 0 <= stray S C.
Proof.
rewrite /stray; have := nu_ge0; have := nu_at_ge0 (T_recognize C);
  have := tau_at_ge0 (T_recognize C).
by have := n_ge1 => *; have : 0 <= (INR (n S) + 1) * nu_at S (T_recognize C)
  by [apply: Rmult_le_pos; lra]; lra.
Qed.
End Signs.
