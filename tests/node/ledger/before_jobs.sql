-- A ledger of the version before there was one table of jobs (revision 0007_audit), with rows in each of its queues.
-- Made by that version's own functions, at 1700000000 and after: record_instance, ensure_item, studies.complete, claim
-- and finish, outbox.put, claim, settle and refuse, unproven.begin and asked, subscriptions.subscribe, raise_priority,
-- notices.put, claim, delivered, rejected and postponed, requests.put, spool.put; written by sqlite3's iterdump.
-- No patient is named. tests/node/ledger/test_upgrade.py loads it.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0007_audit');
CREATE TABLE audit_message (
	id INTEGER NOT NULL, 
	sink VARCHAR(16) NOT NULL, 
	at FLOAT NOT NULL, 
	message TEXT NOT NULL, 
	warning BOOLEAN NOT NULL, 
	CONSTRAINT pk_audit_message PRIMARY KEY (id)
);
INSERT INTO "audit_message" VALUES(1,'file',1700000012.0,'<AuditMessage n="0"/>',0);
INSERT INTO "audit_message" VALUES(2,'syslog',1700000012.0,'<AuditMessage n="0"/>',0);
INSERT INTO "audit_message" VALUES(3,'file',1700000013.0,'<AuditMessage n="1"/>',1);
INSERT INTO "audit_message" VALUES(4,'syslog',1700000013.0,'<AuditMessage n="1"/>',1);
INSERT INTO "audit_message" VALUES(5,'file',1700000014.0,'<AuditMessage n="2"/>',0);
INSERT INTO "audit_message" VALUES(6,'syslog',1700000014.0,'<AuditMessage n="2"/>',0);
CREATE TABLE audited (
	study_instance_uid VARCHAR(64) NOT NULL, 
	calling_ae_title VARCHAR(16) NOT NULL, 
	until FLOAT NOT NULL, 
	CONSTRAINT pk_audited PRIMARY KEY (study_instance_uid, calling_ae_title)
);
CREATE TABLE commitment_request (
	id INTEGER NOT NULL, 
	ae_title VARCHAR(16) NOT NULL, 
	transaction_uid VARCHAR(64) NOT NULL, 
	instances JSON NOT NULL, 
	duplicate BOOLEAN NOT NULL, 
	created_at FLOAT NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_at FLOAT NOT NULL, 
	CONSTRAINT pk_commitment_request PRIMARY KEY (id)
);
INSERT INTO "commitment_request" VALUES(1,'MODALITY','2.25.800','[["1.2.840.10008.5.1.4.1.1.2", "1.2.1.1.1"], ["1.2.840.10008.5.1.4.1.1.2", "1.2.404"]]',0,1700000011.0,0,1700000026.0);
INSERT INTO "commitment_request" VALUES(2,'MODALITY','2.25.800','[["1.2.840.10008.5.1.4.1.1.2", "1.2.2.1.1"]]',1,1700000011.0,0,1700000026.0);
CREATE TABLE decision (
	id INTEGER NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	generation INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	asked VARCHAR(8) NOT NULL, 
	given VARCHAR(8) NOT NULL, 
	category INTEGER, 
	outcome VARCHAR(8) NOT NULL, 
	waiting BOOLEAN NOT NULL, 
	alerted BOOLEAN NOT NULL, 
	reason TEXT NOT NULL, 
	inputs JSON NOT NULL, 
	CONSTRAINT pk_decision PRIMARY KEY (id), 
	CONSTRAINT fk_decision_study_instance_uid FOREIGN KEY(study_instance_uid) REFERENCES study (study_instance_uid)
);
CREATE TABLE event (
	id INTEGER NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	at FLOAT NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	detail TEXT NOT NULL, 
	CONSTRAINT pk_event PRIMARY KEY (id)
);
INSERT INTO "event" VALUES(1,'1.2.1',1700000001.0,'receiving','first instance from MODALITY');
INSERT INTO "event" VALUES(2,'1.2.1',1700000001.0,'worklist','reading work item 2.25.282909090092282983943887133904863552137 made, MEDIUM');
INSERT INTO "event" VALUES(3,'1.2.1',1700000001.0,'complete','1 instances: quiet');
INSERT INTO "event" VALUES(4,'1.2.1',1700000001.0,'analysing','generation 1');
INSERT INTO "event" VALUES(5,'1.2.1',1700000001.0,'analysed','generation 1');
INSERT INTO "event" VALUES(6,'1.2.1',1700000002.0,'not delivered','regions to pacs: pacs cannot be reached; tried again in 5 s');
INSERT INTO "event" VALUES(7,'1.2.2',1700000003.0,'receiving','first instance from MODALITY');
INSERT INTO "event" VALUES(8,'1.2.2',1700000003.0,'worklist','reading work item 2.25.38453065722052642043186933264049635011 made, MEDIUM');
INSERT INTO "event" VALUES(9,'1.2.2',1700000003.0,'complete','1 instances: quiet');
INSERT INTO "event" VALUES(10,'1.2.2',1700000003.0,'analysing','generation 1');
INSERT INTO "event" VALUES(11,'1.2.2',1700000003.0,'analysed','generation 1');
INSERT INTO "event" VALUES(12,'1.2.2',1700000003.0,'refused','statement by pacs: it does not take the class');
INSERT INTO "event" VALUES(13,'1.2.2',1700000003.0,'not delivered','segmentation to pacs: pacs cannot be reached; tried again in 5 s');
INSERT INTO "event" VALUES(14,'1.2.1',1700000007.0,'priority','HIGH: pneumothorax');
INSERT INTO "event" VALUES(15,'1.2.2',1700000007.0,'priority','HIGH: pneumothorax');
INSERT INTO "event" VALUES(16,'1.2.3',1700000006.0,'receiving','first instance from MODALITY');
INSERT INTO "event" VALUES(17,'1.2.3',1700000006.0,'worklist','reading work item 2.25.215074030308926611647856528939538779762 made, MEDIUM');
INSERT INTO "event" VALUES(18,'1.2.3',1700000006.0,'complete','1 instances: quiet');
INSERT INTO "event" VALUES(19,'1.2.3',1700000007.0,'priority','HIGH: pneumothorax');
INSERT INTO "event" VALUES(20,'1.2.4',1700000008.0,'receiving','first instance from MODALITY');
INSERT INTO "event" VALUES(21,'1.2.4',1700000008.0,'worklist','reading work item 2.25.115477669607350522194222325653441883227 made, MEDIUM');
INSERT INTO "event" VALUES(22,'1.2.4',1700000008.0,'complete','1 instances: quiet');
INSERT INTO "event" VALUES(23,'1.2.4',1700000008.0,'analysing','generation 1');
INSERT INTO "event" VALUES(24,'1.2.1',1700000010.0,'told','HIGH to hl7, acknowledged: MSA AA');
INSERT INTO "event" VALUES(25,'1.2.2',1700000010.0,'rejected','HIGH to hl7: AR: no such template; not sent again by itself');
INSERT INTO "event" VALUES(26,'1.2.3',1700000010.0,'not told','HIGH to hl7: connection refused; tried again in 5 s');
CREATE TABLE event_report (
	id INTEGER NOT NULL, 
	ae_title VARCHAR(16) NOT NULL, 
	web BOOLEAN NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	event_type INTEGER NOT NULL, 
	information JSON NOT NULL, 
	created_at FLOAT NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_at FLOAT NOT NULL, 
	CONSTRAINT pk_event_report PRIMARY KEY (id)
);
INSERT INTO "event_report" VALUES(1,'BROWSER',1,'2.25.282909090092282983943887133904863552137',1,'{"00404041": {"vr": "CS", "Value": ["READY"]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}',1700000001.0,0,1700000001.0);
INSERT INTO "event_report" VALUES(2,'MONITOR',0,'2.25.282909090092282983943887133904863552137',1,'{"00404041": {"vr": "CS", "Value": ["READY"]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}',1700000001.0,0,1700000001.0);
INSERT INTO "event_report" VALUES(3,'BROWSER',1,'2.25.38453065722052642043186933264049635011',1,'{"00404041": {"vr": "CS", "Value": ["READY"]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}',1700000003.0,0,1700000003.0);
INSERT INTO "event_report" VALUES(4,'MONITOR',0,'2.25.38453065722052642043186933264049635011',1,'{"00404041": {"vr": "CS", "Value": ["READY"]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}',1700000003.0,0,1700000003.0);
INSERT INTO "event_report" VALUES(5,'BROWSER',1,'2.25.282909090092282983943887133904863552137',3,'{"00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}}',1700000007.0,0,1700000007.0);
INSERT INTO "event_report" VALUES(6,'MONITOR',0,'2.25.282909090092282983943887133904863552137',3,'{"00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}}',1700000007.0,0,1700000007.0);
INSERT INTO "event_report" VALUES(7,'BROWSER',1,'2.25.38453065722052642043186933264049635011',3,'{"00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}}',1700000007.0,0,1700000007.0);
INSERT INTO "event_report" VALUES(8,'MONITOR',0,'2.25.38453065722052642043186933264049635011',3,'{"00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}}',1700000007.0,0,1700000007.0);
INSERT INTO "event_report" VALUES(9,'BROWSER',1,'2.25.215074030308926611647856528939538779762',1,'{"00404041": {"vr": "CS", "Value": ["READY"]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}',1700000006.0,0,1700000006.0);
INSERT INTO "event_report" VALUES(10,'MONITOR',0,'2.25.215074030308926611647856528939538779762',1,'{"00404041": {"vr": "CS", "Value": ["READY"]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}',1700000006.0,0,1700000006.0);
INSERT INTO "event_report" VALUES(11,'BROWSER',1,'2.25.215074030308926611647856528939538779762',3,'{"00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}}',1700000007.0,0,1700000007.0);
INSERT INTO "event_report" VALUES(12,'MONITOR',0,'2.25.215074030308926611647856528939538779762',3,'{"00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}}',1700000007.0,0,1700000007.0);
INSERT INTO "event_report" VALUES(13,'BROWSER',1,'2.25.115477669607350522194222325653441883227',1,'{"00404041": {"vr": "CS", "Value": ["READY"]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}',1700000008.0,0,1700000008.0);
INSERT INTO "event_report" VALUES(14,'MONITOR',0,'2.25.115477669607350522194222325653441883227',1,'{"00404041": {"vr": "CS", "Value": ["READY"]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}',1700000008.0,0,1700000008.0);
CREATE TABLE feedback (
	id INTEGER NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	generation INTEGER NOT NULL, 
	package VARCHAR(128) NOT NULL, 
	label VARCHAR(64) NOT NULL, 
	quantity VARCHAR(16) NOT NULL, 
	probability FLOAT NOT NULL, 
	operating_point FLOAT NOT NULL, 
	present BOOLEAN NOT NULL, 
	verdict VARCHAR(8) NOT NULL, 
	at FLOAT NOT NULL, 
	CONSTRAINT pk_feedback PRIMARY KEY (id), 
	CONSTRAINT fk_feedback_study_instance_uid FOREIGN KEY(study_instance_uid) REFERENCES study (study_instance_uid), 
	CONSTRAINT uq_feedback_study_instance_uid_generation_package_label UNIQUE (study_instance_uid, generation, package, label)
);
CREATE TABLE finding (
	id INTEGER NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	generation INTEGER NOT NULL, 
	package VARCHAR(128) NOT NULL, 
	label VARCHAR(64) NOT NULL, 
	quantity VARCHAR(16) NOT NULL, 
	probability FLOAT NOT NULL, 
	operating_point FLOAT NOT NULL, 
	present BOOLEAN NOT NULL, 
	place TEXT NOT NULL, 
	urgency VARCHAR(8) NOT NULL, 
	CONSTRAINT pk_finding PRIMARY KEY (id), 
	CONSTRAINT fk_finding_study_instance_uid FOREIGN KEY(study_instance_uid) REFERENCES study (study_instance_uid)
);
INSERT INTO "finding" VALUES(1,'1.2.1',1,'chest-xray','Pneumothorax','probability',0.91,0.5,1,'left','HIGH');
INSERT INTO "finding" VALUES(2,'1.2.2',1,'chest-xray','Pneumothorax','probability',0.91,0.5,1,'left','HIGH');
CREATE TABLE global_subscription (
	ae_title VARCHAR(16) NOT NULL, 
	web BOOLEAN NOT NULL, 
	filtered BOOLEAN NOT NULL, 
	locked BOOLEAN NOT NULL, 
	matching_keys JSON NOT NULL, 
	CONSTRAINT pk_global_subscription PRIMARY KEY (ae_title, web, filtered)
);
INSERT INTO "global_subscription" VALUES('MONITOR',0,0,0,'{}');
INSERT INTO "global_subscription" VALUES('BROWSER',1,0,0,'{}');
CREATE TABLE imaging_order (
	id INTEGER NOT NULL, 
	placer_number VARCHAR(250) NOT NULL, 
	filler_number VARCHAR(250) NOT NULL, 
	accession_number VARCHAR(64) NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	priority VARCHAR(8) NOT NULL, 
	ordered_as VARCHAR(20) NOT NULL, 
	canceled BOOLEAN NOT NULL, 
	sender VARCHAR(255) NOT NULL, 
	control_id VARCHAR(199) NOT NULL, 
	received_at FLOAT NOT NULL, 
	updated_at FLOAT NOT NULL, 
	CONSTRAINT pk_imaging_order PRIMARY KEY (id), 
	CONSTRAINT uq_imaging_order_placer_number_filler_number_accession_number_study_instance_uid UNIQUE (placer_number, filler_number, accession_number, study_instance_uid)
);
CREATE TABLE instance (
	id INTEGER NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	sop_class_uid VARCHAR(64) NOT NULL, 
	series_instance_uid VARCHAR(64) NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	transfer_syntax_uid VARCHAR(64) NOT NULL, 
	path TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size BIGINT NOT NULL, 
	calling_ae_title VARCHAR(16) NOT NULL, 
	received_at FLOAT NOT NULL, 
	generation INTEGER NOT NULL, 
	"conflict" BOOLEAN NOT NULL, 
	CONSTRAINT pk_instance PRIMARY KEY (id), 
	CONSTRAINT fk_instance_study_instance_uid FOREIGN KEY(study_instance_uid) REFERENCES study (study_instance_uid), 
	CONSTRAINT uq_instance_study_instance_uid_series_instance_uid_sop_instance_uid_sha256 UNIQUE (study_instance_uid, series_instance_uid, sop_instance_uid, sha256)
);
INSERT INTO "instance" VALUES(1,'1.2.1.1.1','1.2.840.10008.5.1.4.1.1.2','1.2.1.1','1.2.1','1.2.840.10008.1.2.1','instances/1.2.1.dcm','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',10,'MODALITY',1700000001.0,1,0);
INSERT INTO "instance" VALUES(2,'1.2.2.1.1','1.2.840.10008.5.1.4.1.1.2','1.2.2.1','1.2.2','1.2.840.10008.1.2.1','instances/1.2.2.dcm','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',10,'MODALITY',1700000003.0,1,0);
INSERT INTO "instance" VALUES(3,'1.2.3.1.1','1.2.840.10008.5.1.4.1.1.2','1.2.3.1','1.2.3','1.2.840.10008.1.2.1','instances/1.2.3.dcm','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',10,'MODALITY',1700000006.0,1,0);
INSERT INTO "instance" VALUES(4,'1.2.4.1.1','1.2.840.10008.5.1.4.1.1.2','1.2.4.1','1.2.4','1.2.840.10008.1.2.1','instances/1.2.4.dcm','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',10,'MODALITY',1700000008.0,1,0);
CREATE TABLE notice (
	id INTEGER NOT NULL, 
	control_id VARCHAR(20) NOT NULL, 
	sink VARCHAR(16) NOT NULL, 
	work_item_uid VARCHAR(64) NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	priority VARCHAR(8) NOT NULL, 
	reason TEXT NOT NULL, 
	content JSON NOT NULL, 
	decided_at FLOAT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_at FLOAT NOT NULL, 
	lease_until FLOAT, 
	last_error TEXT NOT NULL, 
	acknowledgement TEXT NOT NULL, 
	delivered_at FLOAT, 
	CONSTRAINT pk_notice PRIMARY KEY (id), 
	CONSTRAINT uq_notice_control_id UNIQUE (control_id)
);
INSERT INTO "notice" VALUES(1,'b901c8032c775708d9bb','hl7','2.25.282909090092282983943887133904863552137','1.2.1','HIGH','HIGH: pneumothorax','{"attributes": {"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]}, "00080018": {"vr": "UI", "Value": ["2.25.282909090092282983943887133904863552137"]}, "00081080": {"vr": "LO"}, "00081084": {"vr": "SQ"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "00100021": {"vr": "LO"}, "00100024": {"vr": "SQ"}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS"}, "00101002": {"vr": "SQ"}, "0020000D": {"vr": "UI", "Value": ["1.2.1"]}, "00380010": {"vr": "LO"}, "00380014": {"vr": "SQ"}, "00400400": {"vr": "LT", "Value": ["ReadFirst: HIGH: pneumothorax"]}, "00404005": {"vr": "DT", "Value": ["20231114221321.000000+0000"]}, "00404010": {"vr": "DT", "Value": ["20231114221327.000000+0000"]}, "00404018": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["110005"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Interpretation"]}}]}, "00404025": {"vr": "SQ"}, "00404026": {"vr": "SQ"}, "00404027": {"vr": "SQ"}, "00404041": {"vr": "CS", "Value": ["READY"]}, "0040A370": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2.1"]}, "00080050": {"vr": "SH"}, "00401001": {"vr": "SH"}, "00321060": {"vr": "LO"}, "00080051": {"vr": "SQ"}, "00400026": {"vr": "SQ"}, "00400027": {"vr": "SQ"}, "00321064": {"vr": "SQ"}}]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}, "00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}, "00741202": {"vr": "LO", "Value": ["READFIRST reading"]}, "00741204": {"vr": "LO", "Value": ["Reading: study"]}, "00741210": {"vr": "SQ"}, "00741216": {"vr": "SQ"}}, "findings": [{"label": "Pneumothorax", "quantity": "probability", "probability": 0.91, "operating_point": 0.5, "present": true, "place": "left", "urgency": "HIGH"}], "order": null}',1700000009.0,'delivered',1,1700000009.0,NULL,'','MSA AA',1700000010.0);
INSERT INTO "notice" VALUES(2,'f7899b2446b7d5d29d3f','hl7','2.25.38453065722052642043186933264049635011','1.2.2','HIGH','HIGH: pneumothorax','{"attributes": {"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]}, "00080018": {"vr": "UI", "Value": ["2.25.38453065722052642043186933264049635011"]}, "00081080": {"vr": "LO"}, "00081084": {"vr": "SQ"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "00100021": {"vr": "LO"}, "00100024": {"vr": "SQ"}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS"}, "00101002": {"vr": "SQ"}, "0020000D": {"vr": "UI", "Value": ["1.2.2"]}, "00380010": {"vr": "LO"}, "00380014": {"vr": "SQ"}, "00400400": {"vr": "LT", "Value": ["ReadFirst: HIGH: pneumothorax"]}, "00404005": {"vr": "DT", "Value": ["20231114221323.000000+0000"]}, "00404010": {"vr": "DT", "Value": ["20231114221327.000000+0000"]}, "00404018": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["110005"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Interpretation"]}}]}, "00404025": {"vr": "SQ"}, "00404026": {"vr": "SQ"}, "00404027": {"vr": "SQ"}, "00404041": {"vr": "CS", "Value": ["READY"]}, "0040A370": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2.2"]}, "00080050": {"vr": "SH"}, "00401001": {"vr": "SH"}, "00321060": {"vr": "LO"}, "00080051": {"vr": "SQ"}, "00400026": {"vr": "SQ"}, "00400027": {"vr": "SQ"}, "00321064": {"vr": "SQ"}}]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}, "00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}, "00741202": {"vr": "LO", "Value": ["READFIRST reading"]}, "00741204": {"vr": "LO", "Value": ["Reading: study"]}, "00741210": {"vr": "SQ"}, "00741216": {"vr": "SQ"}}, "findings": [{"label": "Pneumothorax", "quantity": "probability", "probability": 0.91, "operating_point": 0.5, "present": true, "place": "left", "urgency": "HIGH"}], "order": null}',1700000009.0,'rejected',1,1700000009.0,NULL,'AR: no such template','',NULL);
INSERT INTO "notice" VALUES(3,'d60afd7b0356a152e221','hl7','2.25.215074030308926611647856528939538779762','1.2.3','HIGH','HIGH: pneumothorax','{"attributes": {"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]}, "00080018": {"vr": "UI", "Value": ["2.25.215074030308926611647856528939538779762"]}, "00081080": {"vr": "LO"}, "00081084": {"vr": "SQ"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "00100021": {"vr": "LO"}, "00100024": {"vr": "SQ"}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS"}, "00101002": {"vr": "SQ"}, "0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00380010": {"vr": "LO"}, "00380014": {"vr": "SQ"}, "00400400": {"vr": "LT", "Value": ["ReadFirst: HIGH: pneumothorax"]}, "00404005": {"vr": "DT", "Value": ["20231114221326.000000+0000"]}, "00404010": {"vr": "DT", "Value": ["20231114221327.000000+0000"]}, "00404018": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["110005"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Interpretation"]}}]}, "00404025": {"vr": "SQ"}, "00404026": {"vr": "SQ"}, "00404027": {"vr": "SQ"}, "00404041": {"vr": "CS", "Value": ["READY"]}, "0040A370": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00080050": {"vr": "SH"}, "00401001": {"vr": "SH"}, "00321060": {"vr": "LO"}, "00080051": {"vr": "SQ"}, "00400026": {"vr": "SQ"}, "00400027": {"vr": "SQ"}, "00321064": {"vr": "SQ"}}]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}, "00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}, "00741202": {"vr": "LO", "Value": ["READFIRST reading"]}, "00741204": {"vr": "LO", "Value": ["Reading: study"]}, "00741210": {"vr": "SQ"}, "00741216": {"vr": "SQ"}}, "findings": [], "order": null}',1700000009.0,'pending',1,1700000015.0,NULL,'connection refused','',NULL);
INSERT INTO "notice" VALUES(4,'bc323205d909932fceeb','webhook','2.25.282909090092282983943887133904863552137','1.2.1','HIGH','HIGH: pneumothorax','{"attributes": {"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]}, "00080018": {"vr": "UI", "Value": ["2.25.282909090092282983943887133904863552137"]}, "00081080": {"vr": "LO"}, "00081084": {"vr": "SQ"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "00100021": {"vr": "LO"}, "00100024": {"vr": "SQ"}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS"}, "00101002": {"vr": "SQ"}, "0020000D": {"vr": "UI", "Value": ["1.2.1"]}, "00380010": {"vr": "LO"}, "00380014": {"vr": "SQ"}, "00400400": {"vr": "LT", "Value": ["ReadFirst: HIGH: pneumothorax"]}, "00404005": {"vr": "DT", "Value": ["20231114221321.000000+0000"]}, "00404010": {"vr": "DT", "Value": ["20231114221327.000000+0000"]}, "00404018": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["110005"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Interpretation"]}}]}, "00404025": {"vr": "SQ"}, "00404026": {"vr": "SQ"}, "00404027": {"vr": "SQ"}, "00404041": {"vr": "CS", "Value": ["READY"]}, "0040A370": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2.1"]}, "00080050": {"vr": "SH"}, "00401001": {"vr": "SH"}, "00321060": {"vr": "LO"}, "00080051": {"vr": "SQ"}, "00400026": {"vr": "SQ"}, "00400027": {"vr": "SQ"}, "00321064": {"vr": "SQ"}}]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}, "00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}, "00741202": {"vr": "LO", "Value": ["READFIRST reading"]}, "00741204": {"vr": "LO", "Value": ["Reading: study"]}, "00741210": {"vr": "SQ"}, "00741216": {"vr": "SQ"}}, "findings": [{"label": "Pneumothorax", "quantity": "probability", "probability": 0.91, "operating_point": 0.5, "present": true, "place": "left", "urgency": "HIGH"}], "order": null}',1700000009.0,'pending',0,1700000009.0,1700000029.0,'','',NULL);
INSERT INTO "notice" VALUES(5,'20d869a1e7cc967b58d0','webhook','2.25.38453065722052642043186933264049635011','1.2.2','HIGH','HIGH: pneumothorax','{"attributes": {"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]}, "00080018": {"vr": "UI", "Value": ["2.25.38453065722052642043186933264049635011"]}, "00081080": {"vr": "LO"}, "00081084": {"vr": "SQ"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "00100021": {"vr": "LO"}, "00100024": {"vr": "SQ"}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS"}, "00101002": {"vr": "SQ"}, "0020000D": {"vr": "UI", "Value": ["1.2.2"]}, "00380010": {"vr": "LO"}, "00380014": {"vr": "SQ"}, "00400400": {"vr": "LT", "Value": ["ReadFirst: HIGH: pneumothorax"]}, "00404005": {"vr": "DT", "Value": ["20231114221323.000000+0000"]}, "00404010": {"vr": "DT", "Value": ["20231114221327.000000+0000"]}, "00404018": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["110005"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Interpretation"]}}]}, "00404025": {"vr": "SQ"}, "00404026": {"vr": "SQ"}, "00404027": {"vr": "SQ"}, "00404041": {"vr": "CS", "Value": ["READY"]}, "0040A370": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2.2"]}, "00080050": {"vr": "SH"}, "00401001": {"vr": "SH"}, "00321060": {"vr": "LO"}, "00080051": {"vr": "SQ"}, "00400026": {"vr": "SQ"}, "00400027": {"vr": "SQ"}, "00321064": {"vr": "SQ"}}]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}, "00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}, "00741202": {"vr": "LO", "Value": ["READFIRST reading"]}, "00741204": {"vr": "LO", "Value": ["Reading: study"]}, "00741210": {"vr": "SQ"}, "00741216": {"vr": "SQ"}}, "findings": [{"label": "Pneumothorax", "quantity": "probability", "probability": 0.91, "operating_point": 0.5, "present": true, "place": "left", "urgency": "HIGH"}], "order": null}',1700000009.0,'pending',0,1700000009.0,NULL,'','',NULL);
INSERT INTO "notice" VALUES(6,'5906f8cfe751d83ed16e','webhook','2.25.215074030308926611647856528939538779762','1.2.3','HIGH','HIGH: pneumothorax','{"attributes": {"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]}, "00080018": {"vr": "UI", "Value": ["2.25.215074030308926611647856528939538779762"]}, "00081080": {"vr": "LO"}, "00081084": {"vr": "SQ"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "00100021": {"vr": "LO"}, "00100024": {"vr": "SQ"}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS"}, "00101002": {"vr": "SQ"}, "0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00380010": {"vr": "LO"}, "00380014": {"vr": "SQ"}, "00400400": {"vr": "LT", "Value": ["ReadFirst: HIGH: pneumothorax"]}, "00404005": {"vr": "DT", "Value": ["20231114221326.000000+0000"]}, "00404010": {"vr": "DT", "Value": ["20231114221327.000000+0000"]}, "00404018": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["110005"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Interpretation"]}}]}, "00404025": {"vr": "SQ"}, "00404026": {"vr": "SQ"}, "00404027": {"vr": "SQ"}, "00404041": {"vr": "CS", "Value": ["READY"]}, "0040A370": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00080050": {"vr": "SH"}, "00401001": {"vr": "SH"}, "00321060": {"vr": "LO"}, "00080051": {"vr": "SQ"}, "00400026": {"vr": "SQ"}, "00400027": {"vr": "SQ"}, "00321064": {"vr": "SQ"}}]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}, "00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}, "00741202": {"vr": "LO", "Value": ["READFIRST reading"]}, "00741204": {"vr": "LO", "Value": ["Reading: study"]}, "00741210": {"vr": "SQ"}, "00741216": {"vr": "SQ"}}, "findings": [], "order": null}',1700000009.0,'pending',0,1700000009.0,NULL,'','',NULL);
CREATE TABLE outbox (
	id INTEGER NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	peer VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_at FLOAT NOT NULL, 
	rung_at FLOAT, 
	lease_until FLOAT, 
	last_error TEXT NOT NULL, 
	delivered_at FLOAT, transaction_uid VARCHAR(64), 
	CONSTRAINT pk_outbox PRIMARY KEY (id), 
	CONSTRAINT fk_outbox_sop_instance_uid FOREIGN KEY(sop_instance_uid) REFERENCES result (sop_instance_uid), 
	CONSTRAINT fk_outbox_study_instance_uid FOREIGN KEY(study_instance_uid) REFERENCES study (study_instance_uid), 
	CONSTRAINT uq_outbox_sop_instance_uid_peer UNIQUE (sop_instance_uid, peer)
);
INSERT INTO "outbox" VALUES(1,'2.25.10','1.2.1','pacs','delivered',1,1700000002.0,NULL,NULL,'',1700000002.0,NULL);
INSERT INTO "outbox" VALUES(2,'2.25.11','1.2.1','pacs','stored',1,1700003605.0,NULL,NULL,'',1700000002.0,'2.25.700');
INSERT INTO "outbox" VALUES(3,'2.25.12','1.2.1','pacs','pending',1,1700000007.0,NULL,NULL,'pacs cannot be reached',NULL,NULL);
INSERT INTO "outbox" VALUES(4,'2.25.13','1.2.1','pacs','standby',0,1700000001.0,NULL,NULL,'',NULL,NULL);
INSERT INTO "outbox" VALUES(5,'2.25.14','1.2.1','pacs','pending',0,1700000001.0,1700000001.0,1700000021.0,'',NULL,NULL);
INSERT INTO "outbox" VALUES(6,'2.25.15','1.2.1','pacs','quarantined',0,1700000001.0,NULL,NULL,'It is broken.',NULL,NULL);
INSERT INTO "outbox" VALUES(7,'2.25.20','1.2.2','pacs','refused',1,1700000003.0,NULL,NULL,'it does not take the class',NULL,NULL);
INSERT INTO "outbox" VALUES(8,'2.25.21','1.2.2','pacs','superseded',1,1700000008.0,NULL,NULL,'pacs cannot be reached',NULL,NULL);
INSERT INTO "outbox" VALUES(9,'2.25.255','1.2.2','pacs','pending',0,1700000004.0,NULL,NULL,'',NULL,NULL);
CREATE TABLE picture (
	id INTEGER NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	generation INTEGER NOT NULL, 
	package VARCHAR(128) NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	label VARCHAR(64) NOT NULL, 
	caption TEXT NOT NULL, 
	colour VARCHAR(7) NOT NULL, 
	path TEXT NOT NULL, 
	CONSTRAINT pk_picture PRIMARY KEY (id), 
	CONSTRAINT fk_picture_study_instance_uid FOREIGN KEY(study_instance_uid) REFERENCES study (study_instance_uid)
);
CREATE TABLE result (
	sop_instance_uid VARCHAR(64) NOT NULL, 
	sop_class_uid VARCHAR(64) NOT NULL, 
	series_instance_uid VARCHAR(64) NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	generation INTEGER NOT NULL, 
	package VARCHAR(128) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	path TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	CONSTRAINT pk_result PRIMARY KEY (sop_instance_uid), 
	CONSTRAINT fk_result_study_instance_uid FOREIGN KEY(study_instance_uid) REFERENCES study (study_instance_uid)
);
INSERT INTO "result" VALUES('2.25.10','1.2.840.10008.5.1.4.1.1.88.34','2.25.19','1.2.1',1,'chest-xray','statement','results/2.25.10.dcm',1700000001.0);
INSERT INTO "result" VALUES('2.25.11','1.2.840.10008.5.1.4.1.1.88.34','2.25.19','1.2.1',1,'chest-xray','segmentation','results/2.25.11.dcm',1700000001.0);
INSERT INTO "result" VALUES('2.25.12','1.2.840.10008.5.1.4.1.1.88.34','2.25.19','1.2.1',1,'chest-xray','regions','results/2.25.12.dcm',1700000001.0);
INSERT INTO "result" VALUES('2.25.13','1.2.840.10008.5.1.4.1.1.88.34','2.25.19','1.2.1',1,'chest-xray','capture','results/2.25.13.dcm',1700000001.0);
INSERT INTO "result" VALUES('2.25.14','1.2.840.10008.5.1.4.1.1.88.34','2.25.19','1.2.1',1,'chest-xray','key objects','results/2.25.14.dcm',1700000001.0);
INSERT INTO "result" VALUES('2.25.15','1.2.840.10008.5.1.4.1.1.88.34','2.25.19','1.2.1',1,'chest-xray','report text','results/2.25.15.dcm',1700000001.0);
INSERT INTO "result" VALUES('2.25.20','1.2.840.10008.5.1.4.1.1.88.34','2.25.29','1.2.2',1,'chest-xray','statement','results/2.25.20.dcm',1700000003.0);
INSERT INTO "result" VALUES('2.25.21','1.2.840.10008.5.1.4.1.1.88.34','2.25.29','1.2.2',1,'chest-xray','segmentation','results/2.25.21.dcm',1700000003.0);
INSERT INTO "result" VALUES('2.25.255','1.2.840.10008.5.1.4.1.1.88.34','2.25.29','1.2.2',2,'chest-xray','statement','results/2.25.255.dcm',1700000004.0);
CREATE TABLE study (
	study_instance_uid VARCHAR(64) NOT NULL, 
	generation INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	evidence TEXT NOT NULL, 
	calling_ae_title VARCHAR(16) NOT NULL, 
	first_received_at FLOAT NOT NULL, 
	last_received_at FLOAT NOT NULL, 
	queued_at FLOAT, 
	rung_at FLOAT, 
	lease_until FLOAT, 
	finished_at FLOAT, 
	attempts INTEGER NOT NULL, sent_rank INTEGER DEFAULT '1' NOT NULL, rung_rank INTEGER, 
	CONSTRAINT pk_study PRIMARY KEY (study_instance_uid)
);
INSERT INTO "study" VALUES('1.2.1',1,'analysed','','quiet','MODALITY',1700000001.0,1700000001.0,1700000001.0,1700000001.0,NULL,1700000001.0,1,1,1);
INSERT INTO "study" VALUES('1.2.2',1,'analysed','','quiet','MODALITY',1700000003.0,1700000003.0,1700000003.0,1700000003.0,NULL,1700000003.0,1,1,1);
INSERT INTO "study" VALUES('1.2.3',1,'queued','','quiet','MODALITY',1700000006.0,1700000006.0,1700000006.0,NULL,NULL,NULL,0,1,NULL);
INSERT INTO "study" VALUES('1.2.4',1,'analysing','','quiet','MODALITY',1700000008.0,1700000008.0,1700000008.0,NULL,1700000028.0,NULL,1,1,NULL);
CREATE TABLE subscription (
	ae_title VARCHAR(16) NOT NULL, 
	web BOOLEAN NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	locked BOOLEAN NOT NULL, 
	filtered BOOLEAN NOT NULL, 
	CONSTRAINT pk_subscription PRIMARY KEY (ae_title, web, sop_instance_uid), 
	CONSTRAINT fk_subscription_sop_instance_uid FOREIGN KEY(sop_instance_uid) REFERENCES work_item (sop_instance_uid)
);
INSERT INTO "subscription" VALUES('MONITOR',0,'2.25.282909090092282983943887133904863552137',0,0);
INSERT INTO "subscription" VALUES('BROWSER',1,'2.25.282909090092282983943887133904863552137',0,0);
INSERT INTO "subscription" VALUES('MONITOR',0,'2.25.38453065722052642043186933264049635011',0,0);
INSERT INTO "subscription" VALUES('BROWSER',1,'2.25.38453065722052642043186933264049635011',0,0);
INSERT INTO "subscription" VALUES('MONITOR',0,'2.25.215074030308926611647856528939538779762',0,0);
INSERT INTO "subscription" VALUES('BROWSER',1,'2.25.215074030308926611647856528939538779762',0,0);
INSERT INTO "subscription" VALUES('MONITOR',0,'2.25.115477669607350522194222325653441883227',0,0);
INSERT INTO "subscription" VALUES('BROWSER',1,'2.25.115477669607350522194222325653441883227',0,0);
CREATE TABLE work_item (
	sop_instance_uid VARCHAR(64) NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	priority VARCHAR(8) NOT NULL, 
	priority_source VARCHAR(16) NOT NULL, 
	priority_reason TEXT NOT NULL, 
	triage_priority VARCHAR(8) NOT NULL, 
	transaction_uid VARCHAR(64) NOT NULL, 
	attributes JSON NOT NULL, 
	created_at FLOAT NOT NULL, 
	updated_at FLOAT NOT NULL, 
	CONSTRAINT pk_work_item PRIMARY KEY (sop_instance_uid)
);
INSERT INTO "work_item" VALUES('2.25.282909090092282983943887133904863552137','1.2.1','SCHEDULED','HIGH','triage','HIGH: pneumothorax','HIGH','','{"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]}, "00080018": {"vr": "UI", "Value": ["2.25.282909090092282983943887133904863552137"]}, "00081080": {"vr": "LO"}, "00081084": {"vr": "SQ"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "00100021": {"vr": "LO"}, "00100024": {"vr": "SQ"}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS"}, "00101002": {"vr": "SQ"}, "0020000D": {"vr": "UI", "Value": ["1.2.1"]}, "00380010": {"vr": "LO"}, "00380014": {"vr": "SQ"}, "00400400": {"vr": "LT", "Value": ["ReadFirst: HIGH: pneumothorax"]}, "00404005": {"vr": "DT", "Value": ["20231114221321.000000+0000"]}, "00404010": {"vr": "DT", "Value": ["20231114221327.000000+0000"]}, "00404018": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["110005"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Interpretation"]}}]}, "00404025": {"vr": "SQ"}, "00404026": {"vr": "SQ"}, "00404027": {"vr": "SQ"}, "00404041": {"vr": "CS", "Value": ["READY"]}, "0040A370": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2.1"]}, "00080050": {"vr": "SH"}, "00401001": {"vr": "SH"}, "00321060": {"vr": "LO"}, "00080051": {"vr": "SQ"}, "00400026": {"vr": "SQ"}, "00400027": {"vr": "SQ"}, "00321064": {"vr": "SQ"}}]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}, "00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}, "00741202": {"vr": "LO", "Value": ["READFIRST reading"]}, "00741204": {"vr": "LO", "Value": ["Reading: study"]}, "00741210": {"vr": "SQ"}, "00741216": {"vr": "SQ"}}',1700000001.0,1700000007.0);
INSERT INTO "work_item" VALUES('2.25.38453065722052642043186933264049635011','1.2.2','SCHEDULED','HIGH','triage','HIGH: pneumothorax','HIGH','','{"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]}, "00080018": {"vr": "UI", "Value": ["2.25.38453065722052642043186933264049635011"]}, "00081080": {"vr": "LO"}, "00081084": {"vr": "SQ"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "00100021": {"vr": "LO"}, "00100024": {"vr": "SQ"}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS"}, "00101002": {"vr": "SQ"}, "0020000D": {"vr": "UI", "Value": ["1.2.2"]}, "00380010": {"vr": "LO"}, "00380014": {"vr": "SQ"}, "00400400": {"vr": "LT", "Value": ["ReadFirst: HIGH: pneumothorax"]}, "00404005": {"vr": "DT", "Value": ["20231114221323.000000+0000"]}, "00404010": {"vr": "DT", "Value": ["20231114221327.000000+0000"]}, "00404018": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["110005"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Interpretation"]}}]}, "00404025": {"vr": "SQ"}, "00404026": {"vr": "SQ"}, "00404027": {"vr": "SQ"}, "00404041": {"vr": "CS", "Value": ["READY"]}, "0040A370": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2.2"]}, "00080050": {"vr": "SH"}, "00401001": {"vr": "SH"}, "00321060": {"vr": "LO"}, "00080051": {"vr": "SQ"}, "00400026": {"vr": "SQ"}, "00400027": {"vr": "SQ"}, "00321064": {"vr": "SQ"}}]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}, "00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}, "00741202": {"vr": "LO", "Value": ["READFIRST reading"]}, "00741204": {"vr": "LO", "Value": ["Reading: study"]}, "00741210": {"vr": "SQ"}, "00741216": {"vr": "SQ"}}',1700000003.0,1700000007.0);
INSERT INTO "work_item" VALUES('2.25.215074030308926611647856528939538779762','1.2.3','SCHEDULED','HIGH','triage','HIGH: pneumothorax','HIGH','','{"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]}, "00080018": {"vr": "UI", "Value": ["2.25.215074030308926611647856528939538779762"]}, "00081080": {"vr": "LO"}, "00081084": {"vr": "SQ"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "00100021": {"vr": "LO"}, "00100024": {"vr": "SQ"}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS"}, "00101002": {"vr": "SQ"}, "0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00380010": {"vr": "LO"}, "00380014": {"vr": "SQ"}, "00400400": {"vr": "LT", "Value": ["ReadFirst: HIGH: pneumothorax"]}, "00404005": {"vr": "DT", "Value": ["20231114221326.000000+0000"]}, "00404010": {"vr": "DT", "Value": ["20231114221327.000000+0000"]}, "00404018": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["110005"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Interpretation"]}}]}, "00404025": {"vr": "SQ"}, "00404026": {"vr": "SQ"}, "00404027": {"vr": "SQ"}, "00404041": {"vr": "CS", "Value": ["READY"]}, "0040A370": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00080050": {"vr": "SH"}, "00401001": {"vr": "SH"}, "00321060": {"vr": "LO"}, "00080051": {"vr": "SQ"}, "00400026": {"vr": "SQ"}, "00400027": {"vr": "SQ"}, "00321064": {"vr": "SQ"}}]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}, "00741002": {"vr": "SQ", "Value": [{"00741006": {"vr": "ST", "Value": ["HIGH: pneumothorax"]}}]}, "00741200": {"vr": "CS", "Value": ["HIGH"]}, "00741202": {"vr": "LO", "Value": ["READFIRST reading"]}, "00741204": {"vr": "LO", "Value": ["Reading: study"]}, "00741210": {"vr": "SQ"}, "00741216": {"vr": "SQ"}}',1700000006.0,1700000007.0);
INSERT INTO "work_item" VALUES('2.25.115477669607350522194222325653441883227','1.2.4','SCHEDULED','MEDIUM','default','before analysis','','','{"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]}, "00080018": {"vr": "UI", "Value": ["2.25.115477669607350522194222325653441883227"]}, "00081080": {"vr": "LO"}, "00081084": {"vr": "SQ"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "00100021": {"vr": "LO"}, "00100024": {"vr": "SQ"}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS"}, "00101002": {"vr": "SQ"}, "0020000D": {"vr": "UI", "Value": ["1.2.4"]}, "00380010": {"vr": "LO"}, "00380014": {"vr": "SQ"}, "00400400": {"vr": "LT"}, "00404005": {"vr": "DT", "Value": ["20231114221328.000000+0000"]}, "00404010": {"vr": "DT", "Value": ["20231114221328.000000+0000"]}, "00404018": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["110005"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Interpretation"]}}]}, "00404025": {"vr": "SQ"}, "00404026": {"vr": "SQ"}, "00404027": {"vr": "SQ"}, "00404041": {"vr": "CS", "Value": ["READY"]}, "0040A370": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2.4"]}, "00080050": {"vr": "SH"}, "00401001": {"vr": "SH"}, "00321060": {"vr": "LO"}, "00080051": {"vr": "SQ"}, "00400026": {"vr": "SQ"}, "00400027": {"vr": "SQ"}, "00321064": {"vr": "SQ"}}]}, "00741000": {"vr": "CS", "Value": ["SCHEDULED"]}, "00741002": {"vr": "SQ"}, "00741200": {"vr": "CS", "Value": ["MEDIUM"]}, "00741202": {"vr": "LO", "Value": ["READFIRST reading"]}, "00741204": {"vr": "LO", "Value": ["Reading: study"]}, "00741210": {"vr": "SQ"}, "00741216": {"vr": "SQ"}}',1700000008.0,1700000008.0);
CREATE INDEX ix_event_study_instance_uid_at ON event (study_instance_uid, at);
CREATE INDEX ix_study_state ON study (state);
CREATE INDEX ix_work_item_state_priority_created_at ON work_item (state, priority, created_at);
CREATE INDEX ix_work_item_study_instance_uid ON work_item (study_instance_uid);
CREATE INDEX ix_finding_study_instance_uid_generation ON finding (study_instance_uid, generation);
CREATE INDEX ix_instance_sop_instance_uid ON instance (sop_instance_uid);
CREATE INDEX ix_result_study_instance_uid ON result (study_instance_uid);
CREATE INDEX ix_outbox_state_next_attempt_at ON outbox (state, next_attempt_at);
CREATE INDEX ix_subscription_sop_instance_uid ON subscription (sop_instance_uid);
CREATE INDEX ix_event_report_web_ae_title_id ON event_report (web, ae_title, id);
CREATE INDEX ix_event_report_created_at ON event_report (created_at);
CREATE INDEX ix_decision_study_instance_uid ON decision (study_instance_uid);
CREATE INDEX ix_decision_at ON decision (at);
CREATE INDEX ix_decision_waiting ON decision (waiting);
CREATE INDEX ix_work_item_updated_at ON work_item (updated_at);
CREATE INDEX ix_notice_sink_state_next_attempt_at ON notice (sink, state, next_attempt_at);
CREATE INDEX ix_notice_work_item_uid_sink ON notice (work_item_uid, sink);
CREATE INDEX ix_notice_study_instance_uid ON notice (study_instance_uid);
CREATE INDEX ix_imaging_order_accession_number ON imaging_order (accession_number);
CREATE INDEX ix_imaging_order_study_instance_uid ON imaging_order (study_instance_uid);
CREATE INDEX ix_picture_study_instance_uid ON picture (study_instance_uid);
CREATE INDEX ix_outbox_transaction_uid ON outbox (transaction_uid);
CREATE INDEX ix_commitment_request_ae_title_transaction_uid ON commitment_request (ae_title, transaction_uid);
CREATE INDEX ix_commitment_request_next_attempt_at ON commitment_request (next_attempt_at);
CREATE INDEX ix_audit_message_sink_id ON audit_message (sink, id);
COMMIT;
