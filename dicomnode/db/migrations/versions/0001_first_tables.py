"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "association",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("calling_aet", sa.Text(), nullable=False),
        sa.Column("called_aet", sa.Text(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("closed_at", sa.DateTime(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("counts", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_association")),
    )
    with op.batch_alter_table("association", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_association_calling_aet"), ["calling_aet"], unique=False)
        batch_op.create_index(batch_op.f("ix_association_closed_at"), ["closed_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_association_node"), ["node"], unique=False)

    op.create_table(
        "audit_event",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=True),
        sa.Column("series_uid", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
    )
    with op.batch_alter_table("audit_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_event_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_event_kind"), ["kind"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_event_series_uid"), ["series_uid"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_event_study_uid"), ["study_uid"], unique=False)

    op.create_table(
        "container",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("indexed_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_container")),
    )
    with op.batch_alter_table("container", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_container_node"), ["node"], unique=False)

    op.create_table(
        "manifest",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("calling_aet", sa.Text(), nullable=False),
        sa.Column("sop_uids", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manifest")),
        sa.UniqueConstraint("source", "series_uid", name=op.f("uq_manifest_source_series_uid")),
    )
    with op.batch_alter_table("manifest", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_manifest_series_uid"), ["series_uid"], unique=False)

    op.create_table(
        "site_revision",
        sa.Column("number", IDENTITY, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("document", JSON, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_site_revision")),
    )
    op.create_table(
        "study",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("accession_number", sa.Text(), nullable=False),
        sa.Column("study_date", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_study")),
    )
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_study_accession_number"), ["accession_number"], unique=False)
        batch_op.create_index(batch_op.f("ix_study_patient_id"), ["patient_id"], unique=False)

    op.create_table(
        "audit_chain",
        sa.Column("seq", IDENTITY, nullable=False),
        sa.Column("event_id", IDENTITY, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["audit_event.id"], name=op.f("fk_audit_chain_event_id_audit_event")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_chain")),
        sa.UniqueConstraint("event_id", name=op.f("uq_audit_chain_event_id")),
    )
    op.create_table(
        "series",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("series_number", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("calling_aet", sa.Text(), nullable=False),
        sa.Column("called_aet", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("last_arrival_at", sa.DateTime(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=True),
        sa.Column("due_reason", sa.Text(), nullable=False),
        sa.Column("wait_for_aet", sa.Text(), nullable=False),
        sa.Column("quiet_at", sa.DateTime(), nullable=True),
        sa.Column("completed_at", sa.DateTime(), nullable=True),
        sa.Column("derived_by_node", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["study_uid"], ["study.uid"], name=op.f("fk_series_study_uid_study")),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_series")),
    )
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_series_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_series_study_uid"), ["study_uid"], unique=False)

    op.create_table(
        "enhancement",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("pipeline", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("weights_sha256", sa.Text(), nullable=False),
        sa.Column("params", JSON, nullable=False),
        sa.Column("writer_profile", JSON, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.DateTime(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.DateTime(), nullable=True),
        sa.Column("deadline_at", sa.DateTime(), nullable=True),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("figures", JSON, nullable=False),
        sa.Column("measured", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["series_uid"], ["series.uid"], name=op.f("fk_enhancement_series_uid_series")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enhancement")),
        sa.UniqueConstraint("key", name=op.f("uq_enhancement_key")),
    )
    with op.batch_alter_table("enhancement", schema=None) as batch_op:
        batch_op.create_index("ix_enhancement_claim", ["state", "priority", "not_before"], unique=False)
        batch_op.create_index(batch_op.f("ix_enhancement_series_uid"), ["series_uid"], unique=False)

    op.create_table(
        "instance",
        sa.Column("sop_uid", sa.Text(), nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("instance_number", sa.BigInteger(), nullable=True),
        sa.Column("acquisition_number", sa.BigInteger(), nullable=True),
        sa.Column("images_in_acquisition", sa.BigInteger(), nullable=True),
        sa.Column("is_image", sa.Boolean(), nullable=False),
        sa.Column("association", sa.Text(), nullable=False),
        sa.Column("calling_aet", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["series_uid"], ["series.uid"], name=op.f("fk_instance_series_uid_series")),
        sa.PrimaryKeyConstraint("sop_uid", name=op.f("pk_instance")),
    )
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instance_container"), ["container"], unique=False)
        batch_op.create_index(batch_op.f("ix_instance_series_uid"), ["series_uid"], unique=False)

    op.create_table(
        "series_facts",
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.DateTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("instance_count", sa.BigInteger(), nullable=False),
        sa.Column("facts", JSON, nullable=False),
        sa.ForeignKeyConstraint(["series_uid"], ["series.uid"], name=op.f("fk_series_facts_series_uid_series")),
        sa.PrimaryKeyConstraint("series_uid", "generation", name=op.f("pk_series_facts")),
    )
    op.create_table(
        "delivery",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("enhancement_id", IDENTITY, nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.DateTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["enhancement_id"], ["enhancement.id"], name=op.f("fk_delivery_enhancement_id_enhancement")
        ),
        sa.ForeignKeyConstraint(["series_uid"], ["series.uid"], name=op.f("fk_delivery_series_uid_series")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("destination", "subject", name=op.f("uq_delivery_destination_subject")),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index("ix_delivery_due", ["destination", "state", "not_before"], unique=False)
        batch_op.create_index(batch_op.f("ix_delivery_enhancement_id"), ["enhancement_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_delivery_series_uid"), ["series_uid"], unique=False)

    op.create_table(
        "derived_series",
        sa.Column("enhancement_id", IDENTITY, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("document", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["enhancement_id"], ["enhancement.id"], name=op.f("fk_derived_series_enhancement_id_enhancement")
        ),
        sa.PrimaryKeyConstraint("enhancement_id", name=op.f("pk_derived_series")),
        sa.UniqueConstraint("uid", name=op.f("uq_derived_series_uid")),
    )
    op.create_table(
        "instance_version",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("sop_uid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("association", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("differences", JSON, nullable=False),
        sa.ForeignKeyConstraint(["sop_uid"], ["instance.sop_uid"], name=op.f("fk_instance_version_sop_uid_instance")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance_version")),
        sa.UniqueConstraint("sop_uid", "sha256", name=op.f("uq_instance_version_sop_uid_sha256")),
    )
    op.create_table(
        "output",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("enhancement_id", IDENTITY, nullable=False),
        sa.Column("source_sop_uid", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("sop_uid", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["enhancement_id"], ["enhancement.id"], name=op.f("fk_output_enhancement_id_enhancement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_output")),
        sa.UniqueConstraint(
            "enhancement_id", "source_sop_uid", "ordinal", name=op.f("uq_output_enhancement_id_source_sop_uid_ordinal")
        ),
        sa.UniqueConstraint("sop_uid", name=op.f("uq_output_sop_uid")),
    )
    op.create_table(
        "rule_decision",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("revision", IDENTITY, nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("rule_state", sa.Text(), nullable=False),
        sa.Column("matched", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("enhancement_id", IDENTITY, nullable=True),
        sa.Column("deliver_to", JSON, nullable=False),
        sa.Column("explanation", JSON, nullable=False),
        sa.Column("decided_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["enhancement_id"], ["enhancement.id"], name=op.f("fk_rule_decision_enhancement_id_enhancement")
        ),
        sa.ForeignKeyConstraint(
            ["revision"], ["site_revision.number"], name=op.f("fk_rule_decision_revision_site_revision")
        ),
        sa.ForeignKeyConstraint(["series_uid"], ["series.uid"], name=op.f("fk_rule_decision_series_uid_series")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_decision")),
        sa.UniqueConstraint(
            "series_uid",
            "generation",
            "revision",
            "rule",
            name=op.f("uq_rule_decision_series_uid_generation_revision_rule"),
        ),
    )
    with op.batch_alter_table("rule_decision", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rule_decision_enhancement_id"), ["enhancement_id"], unique=False)

    op.create_table(
        "delivery_item",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("delivery_id", IDENTITY, nullable=False),
        sa.Column("sop_uid", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name=op.f("fk_delivery_item_delivery_id_delivery")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_item")),
        sa.UniqueConstraint("delivery_id", "sop_uid", name=op.f("uq_delivery_item_delivery_id_sop_uid")),
    )
    with op.batch_alter_table("delivery_item", schema=None) as batch_op:
        batch_op.create_index("ix_delivery_item_open", ["delivery_id", "state"], unique=False)
