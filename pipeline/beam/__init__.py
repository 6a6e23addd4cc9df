"""The Apache Beam job that makes datasets, and where it runs. Nothing else imports Beam."""
